//! What a spec says of the control group of its command.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Version;

/// The most that a command may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads at once.
    pub max_processes: Option<u32>,
    pub memory_bytes: Option<u64>,
}

/// The group of one command: where it is made, and its limits. Made by `Home::order`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupOrder {
    pub(super) version: Version,
    /// Where its processes are counted and ended.
    pub(super) tree: PathBuf,
    /// Where its memory is counted: the same directory in version 2. Absent without a limit.
    pub(super) memory: Option<PathBuf>,
    pub(super) limits: Limits,
}

impl GroupOrder {
    /// Returns the limits that hold.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns the directories that are made, each once.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        let memory = self.memory.iter().filter(|memory| **memory != self.tree);
        std::iter::once(&self.tree).chain(memory).map(PathBuf::as_path)
    }
}
