//! What the daemon's loop hears.

use attempt::{CommandId, Outcome, Properties, Stamp, ToMaster, ToWorker};
use proto::message::command::{Readiness, Start};
use tokio::sync::oneshot;

use super::drain::DrainOrder;
use super::supervise::LastLine;
use crate::link::Link;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A master accepted the connection. The answer is every command there is.
    Welcomed {
        stamp: Stamp,
        link: Link,
        reply: oneshot::Sender<Result<Hail, Unwelcome>>,
    },
    Disconnected,
    /// The master counted the builds that a draining worker has.
    BuildsLeft {
        stamp: Stamp,
        builds: u32,
    },
    /// The master wants a command to run.
    Start(Box<Start>),
    /// The master wants something else.
    Order(ToWorker),
    /// A command's process exists.
    Started(CommandId),
    /// A command's end is known and its tree is gone.
    Ended {
        command: CommandId,
        outcome: Outcome,
        log_bytes: u64,
        properties: Option<Properties>,
        line: Option<LastLine>,
    },
    /// The log of a command that has ended holds only so much.
    LogTorn {
        command: CommandId,
        log_bytes: u64,
    },
    /// Somebody on this machine asks how many commands there are.
    Count(oneshot::Sender<Census>),
    /// Somebody on this machine wants all commands ended, and the daemon after them.
    EndAll,
    /// Somebody on this machine wants the daemon to finish what it has, and then to end.
    Drain(DrainOrder),
    /// Somebody wants it to take builds again.
    Resume,
}

/// What a new connection begins with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hail {
    pub reports: Vec<ToMaster>,
    pub readiness: Readiness,
}

/// Why a master that accepted this worker is left again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unwelcome {
    #[error("a later master of epoch {seen} was here; is this an old one that should be off?")]
    Older { seen: i64 },
    #[error("the epoch of the master cannot be stored: {why}")]
    Unstored { why: String },
}

/// How many commands there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Census {
    pub running: usize,
    /// Ended, and not yet forgotten because the master does not have everything.
    pub waiting: usize,
}
