//! A build request: one builder asked to run once.

use std::cmp::Reverse;

use config::Name;

use crate::durable::QueueKey;
use crate::id::{BuildId, BuildsetId, ChangeId, RequestId, RequestName};
use crate::property::Properties;
use crate::result::BuildResult;
use crate::table::Row;
use crate::waits::Waits;

/// One request. Its name is unique and is what people type.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub id: RequestId,
    pub name: RequestName,
    pub builder: Name,
    pub buildset: BuildsetId,
    /// The newest of the changes it stands for.
    pub change: ChangeId,
    /// All of them, in the order of arrival.
    pub changes: Vec<ChangeId>,
    /// Who it belongs to: a principal.
    pub owner: String,
    /// Why it was made, for people.
    pub reason: String,
    /// The scheduler that asked for it, if one did.
    pub scheduler: Option<Name>,
    /// Higher is served first.
    pub priority: i32,
    /// Its builder merges requests that ask for the same.
    pub collapses: bool,
    pub submitted_us: i64,
    pub on_disconnect: OnDisconnect,
    /// What its scheduler or app gives its build.
    pub properties: Properties,
    /// What it has waited for.
    pub waits: Waits,
    pub state: RequestState,
}

/// What becomes of a request nobody follows any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDisconnect {
    Cancel,
    Keep,
}

/// Where a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestState {
    Waiting,
    /// It asks for the same as another, and ends with that.
    Merged {
        into: RequestId,
    },
    Running {
        build: BuildId,
    },
    Done {
        result: BuildResult,
        /// One sentence where the result is not the command's own.
        reason: String,
        /// What a launcher exits with.
        exit_code: u8,
        ended_us: i64,
    },
}

impl Request {
    /// Returns its place in its builder's queue.
    pub(crate) fn queue_key(&self) -> QueueKey {
        (Reverse(self.priority), self.id)
    }
}

impl Row for Request {
    type Key = RequestId;

    fn key(&self) -> RequestId {
        self.id
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state, RequestState::Done { .. })
    }
}
