//! How it ended: the `exit` file.

use serde::{Deserialize, Serialize};

use crate::left::Left;
use crate::spec::{read_body, seal, unseal};

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub outcome: Outcome,
    /// Wall clock, in µs since 1970.
    pub ended_us: i64,
    pub duration_us: i64,
    /// Length of the whole output as a record stream.
    pub log_bytes: u64,
    /// Processes that had to be waited for: they did not die within seconds of being killed.
    pub survivors: Vec<i32>,
    /// Present where the command was asked to leave something.
    #[serde(default)]
    pub left: Option<Left>,
}

/// What the kernel said, or why there was nothing to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Exited(i32),
    Signal(i32),
    /// The supervisor ended it for being late or silent.
    Timeout,
    /// The limit of memory of its control group ended it.
    OutOfMemory,
    /// It reached the limit of processes of its control group.
    ProcessLimit,
    /// It could not be executed; the text says why.
    NotStarted(String),
}

pub(crate) const MAGIC: &[u8; 4] = b"YMe1";

impl Exit {
    pub(crate) fn to_file(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        seal(*MAGIC, &rmp_serde::to_vec_named(self)?)
    }

    /// Reads a file; `None` where it is torn or not an exit.
    pub(crate) fn from_file(bytes: &[u8]) -> Option<Self> {
        read_body(unseal(*MAGIC, bytes)?)
    }
}
