//! The control group of a command: where the kernel itself knows every process of it.
//!
//! `home` finds where groups can be made, `order` is what a spec says of one, `folder` reads,
//! ends and removes the directories. A command enters before it executes, so nothing it does can
//! come to be outside; its end is the end of everything within.
//!
//! **Invariants**
//! - A group is made by the supervisor of its command alone, and named after the command.
//! - Moving another process takes the kernel 10 ms and more, so nobody is moved: a child is born
//!   in its group (version 2), or enters by itself (version 1).

mod folder;
mod home;
mod order;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use home::{Choice, Home};
pub use order::{GroupOrder, Limits};

use crate::spool::open_directory;

/// Which interface of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    V1,
    V2,
}

/// A group that was made.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    order: &'a GroupOrder,
}

/// How a child comes to be in its group.
#[derive(Debug, Default)]
pub(crate) struct Entrance {
    /// It is born there.
    pub(crate) cradle: Option<OwnedFd>,
    /// Files into which it writes `0`, "myself".
    pub(crate) doors: Vec<OwnedFd>,
}

/// What the kernel counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Processes that could not be made because of the limit.
    pub(crate) refused_forks: u64,
    /// Processes that were killed because of the limit of memory.
    pub(crate) oom_kills: u64,
    pub(crate) peak_bytes: Option<u64>,
}

impl<'a> Group<'a> {
    /// Returns the group that an order is about, whether it was made or not.
    pub(crate) fn of(order: &'a GroupOrder) -> Self {
        Self { order }
    }

    /// Makes the group with its limits. Nothing is left behind after an error.
    pub(crate) fn make(order: &'a GroupOrder) -> io::Result<Self> {
        let group = Self { order };
        group.fill().inspect_err(|_| group.remove())?;
        Ok(group)
    }

    fn fill(&self) -> io::Result<()> {
        let Limits { max_processes, memory_bytes } = self.order.limits;
        for folder in self.order.folders() {
            fs::create_dir(folder)?;
        }
        if let Some(most) = max_processes {
            folder::write(&self.order.tree, "pids.max", &most.to_string())?;
        }
        if let (Some(folder), Some(most)) = (&self.order.memory, memory_bytes) {
            folder::limit_memory(folder, self.order.version, most)?;
        }
        Ok(())
    }

    /// Returns the limits of the group.
    pub(crate) fn limits(&self) -> Limits {
        self.order.limits
    }

    /// Opens what a child needs to enter.
    pub(crate) fn entrance(&self) -> io::Result<Entrance> {
        match self.order.version {
            Version::V2 => {
                let cradle = Some(open_directory(&self.order.tree)?);
                Ok(Entrance { cradle, doors: Vec::new() })
            }
            Version::V1 => {
                let doors = self.order.folders().map(|folder| door(&folder.join("tasks")));
                Ok(Entrance { cradle: None, doors: doors.collect::<io::Result<_>>()? })
            }
        }
    }

    /// Opens what a child needs where the kernel lets none be born in a group.
    pub(crate) fn back_door(&self) -> io::Result<Entrance> {
        let doors = vec![door(&self.order.tree.join("cgroup.procs"))?];
        Ok(Entrance { cradle: None, doors })
    }

    /// Returns every process in the group.
    pub(crate) fn members(&self) -> Vec<i32> {
        folder::members(&self.order.tree)
    }

    /// Kills every process in the group.
    pub(crate) fn kill(&self) {
        folder::kill(&self.order.tree, self.order.version);
    }

    /// Removes the group, which has to be empty; one that is not there is no trouble.
    pub(crate) fn remove(&self) {
        self.order.folders().for_each(folder::remove);
    }

    /// Reads what the kernel counted.
    pub(crate) fn counted(&self) -> Counted {
        let Limits { max_processes, memory_bytes } = self.order.limits;
        let mut counted = Counted::default();
        if max_processes.is_some() {
            counted.refused_forks = folder::count(&self.order.tree.join("pids.events"), "max");
        }
        if let (Some(folder), Some(_)) = (&self.order.memory, memory_bytes) {
            (counted.oom_kills, counted.peak_bytes) =
                folder::memory_counted(folder, self.order.version);
        }
        counted
    }
}

fn door(path: &Path) -> io::Result<OwnedFd> {
    let options = fs::OpenOptions::new().write(true).custom_flags(libc::O_CLOEXEC).open(path)?;
    Ok(options.into())
}
