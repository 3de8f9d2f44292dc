//! A trap at a failpoint: laid in a folder, where the process that comes to it finds it.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use failpoint::{Act, Side};
use rustix::process::Pid;

/// What happens to who is caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    Kill,
    /// It is stopped for a moment.
    Stop,
}

/// One trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trap {
    pub(crate) act: Act,
    pub(crate) side: Side,
    pub(crate) action: Action,
    /// Which visit to the place it is for, from 1.
    pub(crate) due: u64,
}

/// Who was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caught {
    pub(crate) pid: Pid,
    /// Where it worked.
    pub(crate) folder: PathBuf,
}

impl Trap {
    /// Returns the name of the place.
    pub(crate) fn place(&self) -> String {
        format!("{}.{}", self.act.name(), self.side.name())
    }

    /// Lays the trap.
    pub(crate) fn lay(&self, folder: &Path) -> anyhow::Result<()> {
        for end in ["hits", "sprung"] {
            remove(&self.file(folder, end))?;
        }
        let action = match self.action {
            Action::Kill => "kill",
            Action::Stop => "stop",
        };
        // Whole or not at all: processes look at any time.
        let beside = self.file(folder, "new");
        fs::write(&beside, format!("{action} {}", self.due)).context("write a trap")?;
        fs::rename(&beside, folder.join(self.place())).context("lay a trap")
    }

    /// Takes it away again.
    pub(crate) fn lift(&self, folder: &Path) -> anyhow::Result<()> {
        remove(&folder.join(self.place()))
    }

    /// Says who was caught, once somebody was.
    pub(crate) fn caught(&self, folder: &Path) -> Option<Caught> {
        let text = fs::read_to_string(self.file(folder, "sprung")).ok()?;
        let (pid, place) = text.trim_end().split_once('\n')?;
        Some(Caught { pid: Pid::from_raw(pid.parse().ok()?)?, folder: PathBuf::from(place) })
    }

    fn file(&self, folder: &Path, end: &str) -> PathBuf {
        folder.join(format!("{}.{end}", self.place()))
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?} at visit {})", self.place(), self.action, self.due)
    }
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
