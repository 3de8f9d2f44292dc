//! The id of a command, unique over restarts and over restored backups.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The incarnation of a database and a counter in it.
///
/// The incarnation is random and changes when a backup is restored, so an old spool can never
/// answer for a new command. Shown as 32 hexadecimal digits, which is also the name of the
/// command's spool directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId {
    pub incarnation: u64,
    pub counter: i64,
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.incarnation, self.counter)
    }
}
