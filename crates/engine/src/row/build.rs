//! A build: one run of a request on a worker, with the progress of its steps.

use config::Name;
use serde::{Deserialize, Serialize};

use crate::id::{BuildId, RequestId, RequestName};
use crate::plan::Plan;
use crate::property::Properties;
use crate::result::{BuildResult, Exit};
use crate::table::Row;

/// One build. It never re-reads the configuration: its plan is what it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    pub id: BuildId,
    pub request: RequestId,
    /// The request's name; a re-run of it has a higher `rerun`.
    pub name: RequestName,
    /// 1 for the first run of the request.
    pub rerun: i32,
    pub builder: Name,
    pub worker: Name,
    /// Which of the worker's places it occupies; the lowest that was free.
    pub slot: u32,
    /// The configuration it was planned under.
    pub revision: i64,
    pub plan: Plan,
    /// One entry a step of the plan.
    pub steps: Vec<StepProgress>,
    /// What its steps have set.
    pub properties: Properties,
    pub started_us: i64,
    /// Why it has to end early, where somebody asked for it.
    pub stop_reason: Option<String>,
    /// Result and time of the end.
    pub end: Option<(BuildResult, i64)>,
}

/// How far one step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepProgress {
    pub state: StepState,
    /// Commands started for it so far.
    pub attempts: u32,
    /// The outcome in its stable words; where no command ran, a sentence that says why.
    pub detail: String,
    /// How long it waited for its locks, in µs.
    #[serde(default)]
    pub locks_us: i64,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepState {
    Waiting,
    /// It is next, and waits for its locks.
    Blocked {
        /// Whoever came before has the lower one.
        turn: i64,
        since_us: i64,
    },
    Running,
    Done {
        result: BuildResult,
        /// What a launcher exits with, should this step decide.
        exit: Exit,
    },
}

impl StepProgress {
    /// Makes the progress of a step that was not reached yet.
    pub fn waiting() -> Self {
        Self {
            state: StepState::Waiting,
            attempts: 0,
            detail: String::new(),
            locks_us: 0,
            started_us: None,
            ended_us: None,
        }
    }
}

impl Row for Build {
    type Key = BuildId;

    fn key(&self) -> BuildId {
        self.id
    }

    fn is_alive(&self) -> bool {
        self.end.is_none()
    }
}
