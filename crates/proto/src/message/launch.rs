//! A client that submits a launch or a change, and follows what becomes of it.

use serde::{Deserialize, Serialize};

use super::command::Variable;
use super::messages;
use crate::Bytes;
use crate::word::wire_words;

messages! {
    Launch = LAUNCH;
    SendChange = SEND;
    Accepted = ACCEPTED;
    Follow = FOLLOW;
    Progress = PROGRESS;
    Output = OUTPUT;
    Ended = ENDED;
    Cancel = CANCEL;
    Cancelled = CANCELLED;
    Leave = LEAVE;
    EnvWanted = ENV_WANTED;
    GiveUp = GIVE_UP;
    GivenUp = GIVEN_UP;
    SetPriority = SET_PRIORITY;
    PrioritySet = PRIORITY_SET;
}

wire_words! {
    /// What the client does after it was accepted.
    pub enum Wait {
        /// It follows to the end.
        Follow = "follow",
        /// It leaves with the id.
        Detach = "detach",
        /// It takes only a start at once; a launch that would queue is refused.
        StartNow = "start_now",
    }
}

/// Asks for one run of an app. Who asks is the connection's principal, never a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Chosen by the client, unique per launch; the same id again is the same launch.
    pub launch_id: String,
    pub app: String,
    pub args: Vec<Bytes>,
    pub env: Vec<Variable>,
    /// By which patterns these variables were chosen: names, or how names begin with a `*`.
    #[serde(default)]
    pub offered: Vec<Bytes>,
    pub cwd: Bytes,
    /// The client's host name, for people.
    pub host: String,
    pub wait: Wait,
}

/// The answer to a launch whose app wants more of the environment than was offered. Nothing was
/// accepted: the launch is to be sent again, with these variables too. Only sent to a client with
/// `feature::ENV_WANTED`, and not for patterns that were offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvWanted {
    pub patterns: Vec<Bytes>,
}

/// Submits a plain change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendChange {
    pub launch_id: String,
    /// The change source it enters by; empty for the one that listens.
    #[serde(default)]
    pub author: Option<Bytes>,
    #[serde(default)]
    pub comments: Bytes,
    #[serde(default)]
    pub files: Vec<Bytes>,
    #[serde(default)]
    pub branch: Option<String>,
    #[serde(default)]
    pub revision: Option<String>,
    #[serde(default)]
    pub repository: String,
    #[serde(default)]
    pub project: String,
    #[serde(default)]
    pub codebase: String,
    #[serde(default)]
    pub category: Option<String>,
    #[serde(default)]
    pub properties: Vec<Variable>,
}

/// The durable answer to `Launch` and `SendChange`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub change: i64,
    /// Names of the requests made at once, such as `hello#12`; empty where none were.
    pub requests: Vec<String>,
    /// Schedulers that hold the change for later.
    pub schedulers: Vec<String>,
}

/// Asks for progress and output of a request from a place on, to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// A name such as `hello#12`.
    pub request: String,
    pub position: Position,
}

/// A place in the output of a build: which of its commands, and where in that log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Counts the build's commands from 0.
    pub part: u32,
    /// Record-stream offset, in bytes.
    pub offset: u64,
}

wire_words! {
    /// Where a request is.
    pub enum Stage {
        Queued = "queued",
        Running = "running",
        Ended = "ended",
    }
}

/// Where the request is now; sent at once and at every change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub request: String,
    pub stage: Stage,
    /// Place in the queue from 1, or 0 where it no longer waits.
    pub place: u32,
    /// One sentence for people: what it waits for, or where it runs.
    pub detail: String,
}

/// Whole log records of the request's build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where these records begin.
    pub position: Position,
    pub records: Bytes,
}

/// The last frame about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub request: String,
    /// Buildbot's word, such as `SUCCESS`.
    pub result: String,
    /// Exit code for the caller's shell: the deciding command's own, 128+n for a signal, else
    /// one of Yardmaster's.
    pub exit_code: u8,
    /// One sentence where the result is not the command's own.
    pub reason: String,
}

/// Says that the client follows no more and does not come back. Without it a connection that
/// ends may have been lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {}

/// Asks for the end of a request, in whatever state it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    pub request: String,
    pub reason: String,
    /// Signal for a running command; 0 for the usual one.
    pub signal: i32,
    /// A request that runs by now is left alone.
    #[serde(default)]
    pub only_queued: bool,
}

/// The durable answer to `Cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    pub request: String,
    pub stage: Stage,
    /// One sentence for people where the end is going to take its time; else empty.
    #[serde(default)]
    pub detail: String,
}

/// Asks for the end of what runs on a worker, without the worker's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveUp {
    /// Such as `ci#42`; empty where it is about a worker.
    #[serde(default)]
    pub request: String,
    /// Everything on this worker; empty where it is about a request.
    #[serde(default)]
    pub worker: String,
    pub reason: String,
}

/// The durable answer to `GiveUp`: what has ended by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    pub builds: Vec<AbandonedBuild>,
}

/// One request that was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbandonedBuild {
    pub request: String,
    /// The worker on which something of it may still run; empty where nothing does.
    pub remains_on: String,
}

/// Asks for a request to be served sooner or later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPriority {
    pub request: String,
    /// Higher is served first.
    pub priority: i32,
}

/// The durable answer to `SetPriority`. Only of one that waits it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrioritySet {
    pub request: String,
    pub stage: Stage,
    /// One sentence for people where nothing was changed; else empty.
    #[serde(default)]
    pub detail: String,
}
