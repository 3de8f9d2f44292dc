//! The line to people on this machine: `DATA/worker.sock`.
//!
//! One word in, one line of JSON out. After `stop` and `kill` the connection stays open until
//! the daemon has ended, so its end is the news. The kernel says who asks: the daemon's own
//! user, or root.

mod client;
mod server;

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::link::LinkState;

pub(crate) use client::Client;
pub(crate) use server::Server;

const SOCKET: &str = "worker.sock";

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Status,
    /// End the daemon; commands go on.
    Stop,
    /// End all commands, then the daemon.
    Kill,
}

impl Wish {
    const ALL: [Self; 3] = [Self::Status, Self::Stop, Self::Kill];

    fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wish| wish.word() == word)
    }
}

/// The answer to every wish: how the worker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub name: String,
    pub version: String,
    pub pid: u32,
    pub data: String,
    pub master: LinkState,
    pub max_builds: u32,
    /// What ends and limits commands.
    pub control_groups: String,
    pub running: usize,
    /// Ended, with something the master does not have yet.
    pub waiting: usize,
}

/// An address of the socket that is short enough whatever the path, and what keeps it valid.
fn address(data: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(data, flags, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()));
    Ok((folder, path))
}
