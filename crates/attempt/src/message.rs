//! What the two halves say to each other. The shells translate to and from `proto`.

use serde::{Deserialize, Serialize};

use crate::{CommandId, Outcome};

/// Which connection of which master a message belongs to. Later ones compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// Rises with every start of a master.
    pub epoch: i64,
    /// Rises with every connection within an epoch.
    pub session: i64,
}

/// Where a command was sent: the worker's boot and spool at that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub boot_id: String,
    pub spool_id: String,
}

/// How to end a command: a signal to its process group, and the kill of the tree later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrder {
    pub signal: i32,
    pub grace_ms: u64,
}

impl StopOrder {
    /// Asks, and ends the whole tree where that did not help in ten seconds.
    pub const ASK: Self = Self { signal: 15, grace_ms: 10_000 };
    /// Ends the whole tree at once.
    pub const KILL: Self = Self { signal: 9, grace_ms: 0 };
}

/// From master to worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToWorker {
    Start { stamp: Stamp, command: CommandId },
    Stop { stamp: Stamp, command: CommandId, order: StopOrder },
    FinalAck { stamp: Stamp, command: CommandId },
}

/// From worker to master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToMaster {
    pub command: CommandId,
    pub view: View,
}

/// A command as its worker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    Running,
    Ended { outcome: Outcome, log_bytes: u64, properties: Option<Properties> },
}

/// What a command left that was asked for properties. It is told with the end, and believed with
/// the end, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Properties {
    /// As the command wrote them; nobody has looked at them yet.
    Written(Vec<u8>),
    /// There are none; the text says why.
    Missing(String),
}
