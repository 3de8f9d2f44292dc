//! What can happen, as the shells report it.

use std::collections::BTreeMap;
use std::sync::Arc;

use attempt::{CommandId, Place, Stamp, StopOrder, ToMaster};
use config::{Name, Value};

use crate::facts::Facts;
use crate::id::RequestId;
use crate::row::{Revision, User};
use crate::settings::Settings;
use crate::variable::Offered;

/// Names the place where an answer is waited for; drawn by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Everything the engine reacts to.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A client submitted something.
    Submitted { ticket: Ticket, submission: Submission },
    /// A source read new heads and the changes between; both are committed together.
    Polled {
        ticket: Ticket,
        source: Name,
        heads: BTreeMap<String, String>,
        changes: Vec<PolledChange>,
    },
    /// A deadline the engine asked for has come.
    Due,
    /// A worker attached with these commands among its own. Its connections are told of in the
    /// order of their stamps: an older one would report what no longer is.
    WorkerAttached {
        worker: Name,
        stamp: Stamp,
        place: Place,
        max_builds: u32,
        commands: Vec<ToMaster>,
        readiness: Readiness,
        facts: Facts,
    },
    /// The probes of a worker have found something else than before.
    WorkerProbed { worker: Name, stamp: Stamp, probes: BTreeMap<String, Value> },
    /// A worker changed its mind about new builds.
    WorkerReadiness { worker: Name, stamp: Stamp, readiness: Readiness },
    /// The connection of a worker ended.
    WorkerLost { worker: Name, stamp: Stamp },
    /// A worker reported a command.
    Reported { worker: Name, stamp: Stamp, report: ToMaster },
    /// An order to start a command could not be made, so nothing was sent on this connection.
    Unsent { worker: Name, stamp: Stamp, command: CommandId, why: String },
    /// A command's log is complete and synced.
    LogSealed { command: CommandId },
    /// Somebody wants a request ended.
    StopWanted {
        ticket: Ticket,
        request: RequestId,
        reason: String,
        order: StopOrder,
        scope: StopScope,
    },
    /// Somebody wants a request served sooner or later.
    PriorityWanted { ticket: Ticket, request: RequestId, priority: i32 },
    /// Another configuration takes the place of the present one.
    Reconfigured { ticket: Ticket, settings: Arc<Settings>, revision: Option<Revision> },
    /// Somebody no longer waits for a worker.
    GiveUpWanted { ticket: Ticket, abandoned: Abandoned, reason: String },
    /// A client follows a request.
    FollowerCame { request: RequestId },
    /// A client that followed a request is gone.
    FollowerLeft { request: RequestId, departure: Departure },
}

/// Whether a worker takes new builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// It finishes what it has and takes no other build.
    Draining,
}

/// Which requests a stop is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopScope {
    /// Whatever it is doing.
    Anywhere,
    /// Only one that still waits; one that runs is left alone.
    Queue,
}

/// What is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Abandoned {
    /// One request, wherever it is.
    Request(RequestId),
    /// Everything a worker holds.
    Worker(Name),
}

/// How sure it is that a client does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It said so.
    Farewell,
    /// Its socket on this machine was closed: it has ended, or it is about to connect anew.
    Closed,
    /// The connection was lost on the way. The client may not even know yet.
    Lost,
}

/// Something submitted by a client, with who it is and its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    pub principal: String,
    pub key: String,
    /// Fingerprint of the body.
    pub body: u64,
    pub offer: Offer,
}

/// What a client submits.
#[derive(Debug, Clone, PartialEq)]
pub enum Offer {
    Launch(LaunchOffer),
    Change(NewChange),
}

/// The call of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchOffer {
    pub source: Name,
    pub app: Name,
    pub args: Vec<Vec<u8>>,
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// How the client chose these variables.
    pub offered: Offered,
    pub cwd: Vec<u8>,
    pub host: String,
    pub user: User,
    pub wait: LaunchWait,
}

/// What the client does once it was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchWait {
    Follow,
    Detach,
    /// Refuse rather than queue.
    StartNow,
}

/// A change as a client submits it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewChange {
    pub source: Option<Name>,
    pub category: Option<String>,
    pub branch: Option<String>,
    pub revision: Option<String>,
    pub repository: String,
    pub project: String,
    pub codebase: String,
    pub author: Vec<u8>,
    pub comments: Vec<u8>,
    pub files: Vec<Vec<u8>>,
    pub properties: BTreeMap<String, Value>,
}

/// A change as a polling source found it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolledChange {
    pub change: NewChange,
    /// When it happened, µs since 1970.
    pub when_us: i64,
}
