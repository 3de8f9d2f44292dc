//! What the engine decided: rows to write, then actions to perform.

use attempt::{CommandId, Stamp, StopOrder};
use config::Name;
use config::template::Part;

use crate::event::Ticket;
use crate::id::{ChangeId, RequestId, RequestName};
use crate::row::Write;
use crate::step::Program;
use crate::variable::Pattern;
use crate::volatile::Absence;

/// The consequence of one event. The writes are committed before any action is performed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    pub writes: Vec<Write>,
    pub actions: Vec<Action>,
}

/// Something for a shell to do after the commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Answer whoever waits at the ticket.
    Answer { ticket: Ticket, answer: Answer },
    /// Send to a worker, if its connection is still this one.
    Send { worker: Name, stamp: Stamp, directive: Directive },
    /// Complete, sync and index the log of a command, then report `LogSealed`.
    SealLog { command: CommandId, log_bytes: u64 },
    /// Tell people of a command that a worker has and this database does not know.
    Disowned { worker: Name, command: CommandId, fate: Fate },
    /// End the connection of a worker that the configuration no longer has, and that has finished
    /// what it had.
    Dismiss { worker: Name, stamp: Stamp },
    /// Something visible about a request changed: wake its followers.
    RequestChanged { request: RequestId },
}

/// What becomes of a command that nobody here knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It still runs, and has to end.
    Killed,
    /// It has ended, and is forgotten with its output.
    Discarded,
}

/// An instruction for a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Directive {
    Start(Box<StartOrder>),
    Stop {
        command: CommandId,
        order: StopOrder,
    },
    FinalAck {
        command: CommandId,
    },
    /// To a draining worker: how many builds it has.
    BuildsLeft {
        builds: u32,
    },
}

/// All a worker needs to run a command; templates are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartOrder {
    pub command: CommandId,
    pub program: Program,
    pub argv: Vec<Vec<u8>>,
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// Variables with secrets in them. Whoever sends the order reads their values, or tells
    /// `Event::Unsent`.
    pub secret_env: Vec<(Vec<u8>, Vec<Part>)>,
    pub builder: Name,
    pub slot: u32,
    /// Below the build directory.
    pub workdir: Vec<u8>,
    pub timeout_ms: Option<u64>,
    pub silence_timeout_ms: Option<u64>,
    pub max_output_bytes: Option<u64>,
    pub max_processes: Option<u32>,
    pub memory_bytes: Option<u64>,
    /// Below its working directory: where it is to leave properties.
    pub properties_file: Option<Vec<u8>>,
}

/// The answer to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Accepted(Accepted),
    Refused(Refusal),
    /// The app wants more of the caller's environment than the client looked for. Nothing was
    /// taken: the launch is to come again.
    EnvWanted(Vec<Pattern>),
    /// The polled heads and changes are committed.
    Polled,
    /// The configuration is in force.
    Reconfigured,
    Stopped(Stopped),
    Prioritized(Prioritized),
    /// These have ended.
    GivenUp(Vec<GivenUp>),
}

/// A request that was ended without its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    pub request: RequestName,
    /// What may still run there, and keeps its place there until the worker has answered.
    pub remains_on: Option<Name>,
}

/// A submission is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub change: ChangeId,
    pub requests: Vec<RequestName>,
    /// Schedulers that hold the change until their timers fire.
    pub schedulers: Vec<String>,
}

/// Where a request was when it was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It left the queue.
    Waiting,
    /// Its command was told to end.
    Running,
    /// Its command is told to end once its worker is back.
    Away { worker: Name, since: Absence },
    /// It runs, and only one that waits was meant.
    Spared,
    /// It had ended before.
    Done,
}

/// Where a request was when its priority was to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prioritized {
    /// It has it now.
    Waiting,
    /// It goes where the other one goes.
    Merged {
        into: RequestName,
    },
    /// It was served before.
    Running,
    Done,
}

/// Why something was refused. `code` is stable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: &'static str,
    pub message: String,
    pub hint: String,
}
