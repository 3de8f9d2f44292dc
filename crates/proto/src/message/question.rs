//! The command line asking about builds, the queue, logs and the master.

use serde::{Deserialize, Serialize};

use super::messages;

messages! {
    BuildsWanted = BUILDS_WANTED;
    Builds = BUILDS;
    QueueWanted = QUEUE_WANTED;
    Queue = QUEUE;
    WhyWanted = WHY_WANTED;
    Why = WHY;
    LogWanted = LOG_WANTED;
    LogEnded = LOG_ENDED;
    StatusWanted = STATUS_WANTED;
    Status = STATUS;
    RequestWanted = REQUEST_WANTED;
    RequestLine = REQUEST;
    RequestsWanted = REQUESTS_WANTED;
    Requests = REQUESTS;
    LocksWanted = LOCKS_WANTED;
    Locks = LOCKS;
}

/// Asks for the newest builds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildsWanted {
    /// Only this builder's, where not empty.
    #[serde(default)]
    pub builder: String,
    pub limit: u32,
}

/// Builds, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builds {
    pub builds: Vec<BuildLine>,
}

/// One build in a list. Times are µs since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildLine {
    /// Such as `ci#42`.
    pub build: String,
    pub worker: String,
    /// Buildbot's word; empty while it runs.
    pub result: String,
    pub reason: String,
    pub started_us: i64,
    pub ended_us: Option<i64>,
    pub steps: Vec<StepLine>,
}

/// One step of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLine {
    pub name: String,
    /// Buildbot's word; empty while it runs or waits.
    pub result: String,
    pub detail: String,
    /// What its last command exited with, if it did.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The number of the signal that ended its last command, if one did.
    #[serde(default)]
    pub signal: Option<i32>,
    /// How long it waited for its locks, in µs.
    #[serde(default)]
    pub locks_us: i64,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
}

/// Asks for everything that waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueWanted {}

/// Waiting requests in the order of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    pub requests: Vec<QueueLine>,
}

/// One waiting request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLine {
    pub request: String,
    pub place: u32,
    pub owner: String,
    /// Higher is served first.
    #[serde(default)]
    pub priority: i32,
    pub submitted_us: i64,
    pub blocked_by: String,
}

/// Asks why a request or build is where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyWanted {
    pub request: String,
}

/// The answer, line by line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    pub request: String,
    pub headline: String,
    pub reasons: Vec<Reason>,
}

/// One condition of a start, met or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub is_met: bool,
    pub what: String,
    pub detail: String,
}

/// Asks for a log; `Output` frames follow, then `LogEnded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogWanted {
    /// Such as `ci#42`.
    pub build: String,
    /// A step's name; empty for all steps.
    #[serde(default)]
    pub step: String,
    /// Whether to go on until the build ends.
    pub follow: bool,
    /// Only a range, of the last command of one step; answered at once, with one `Output`.
    #[serde(default)]
    pub range: Option<LogRange>,
}

/// A range of a log: what is in the lines and in the bytes, where both are given. Lines are
/// counted from 0, those of stdout and stderr together, by the place of their first byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRange {
    #[serde(default)]
    pub first_line: u64,
    /// Most lines wanted; 0 for all.
    #[serde(default)]
    pub lines: u64,
    /// The last so many lines, instead of `first_line` and `lines`; 0 for those.
    #[serde(default)]
    pub last_lines: u64,
    /// Offset in the log's records; the record that holds it is the first.
    #[serde(default)]
    pub first_byte: u64,
    /// Records that begin within so many bytes; 0 for all.
    #[serde(default)]
    pub bytes: u64,
}

/// The end of a log, or of a piece of one, that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnded {
    pub build: String,
    /// Of a range: the first line that was wanted, from 0.
    #[serde(default)]
    pub first_line: u64,
    /// Of a range that is longer than a reply: the `first_byte` to ask for next.
    #[serde(default)]
    pub next_byte: Option<u64>,
}

/// Asks how the master is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusWanted {}

/// How the master is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub master: String,
    pub version: String,
    pub epoch: i64,
    pub revision: i64,
    pub started_us: i64,
    pub waiting: u64,
    pub running: u64,
    /// Commands of workers that the master's database did not know, since it was started.
    #[serde(default)]
    pub disowned: u64,
    pub workers: Vec<WorkerLine>,
    pub sources: Vec<SourceLine>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerLine {
    pub name: String,
    pub is_attached: bool,
    #[serde(default)]
    pub is_draining: bool,
    pub busy: u32,
    pub max_builds: u32,
    pub detail: String,
}

/// One change source and what became of its last round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    pub name: String,
    pub kind: String,
    pub is_well: bool,
    pub detail: String,
}

/// Asks where one request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestWanted {
    pub request: String,
}

/// Where one request is. Times are µs since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLine {
    pub request: String,
    pub owner: String,
    pub stage: super::launch::Stage,
    /// Buildbot's word; empty before the end.
    pub result: String,
    pub exit_code: Option<u8>,
    pub detail: String,
    /// Place in the queue from 1, or 0 where it does not wait.
    #[serde(default)]
    pub place: u32,
    #[serde(default)]
    pub submitted_us: i64,
    /// Known while it runs.
    #[serde(default)]
    pub started_us: Option<i64>,
    #[serde(default)]
    pub ended_us: Option<i64>,
    /// Of its build; empty in lists.
    #[serde(default)]
    pub properties: Vec<PropertyLine>,
    /// How many properties are missing because the answer would be too long.
    #[serde(default)]
    pub properties_left_out: u32,
}

/// One property of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyLine {
    pub name: String,
    /// As JSON; bytes that are no text are `{"$bytes": BASE64}`.
    pub value: String,
    /// Where it is from, such as `change`, `step split`, `caller`.
    pub source: String,
}

/// Asks for the caller's requests: all that live, and those that ended last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestsWanted {
    /// Most of those that have ended.
    pub ended: u32,
}

/// The caller's requests: the living ones, oldest first, then the ended ones, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    pub requests: Vec<RequestLine>,
    /// How many living ones are missing because the list would be too long.
    #[serde(default)]
    pub left_out: u32,
}

/// Asks for the locks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocksWanted {}

/// Every lock that is configured or held, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locks {
    pub locks: Vec<LockLine>,
}

/// One lock. Times are µs since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockLine {
    pub name: String,
    /// `master` or `worker`; empty where the configuration no longer has it.
    pub scope: String,
    /// Units that may be held at once; of each worker, where that is the scope.
    pub max: u32,
    /// Instead of `max`, on these workers.
    #[serde(default)]
    pub max_for_worker: std::collections::BTreeMap<String, u32>,
    pub holders: Vec<LockHolderLine>,
    /// In the order in which they are served.
    pub waiters: Vec<LockWaiterLine>,
}

/// One that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolderLine {
    /// Empty for one that was given up and may still run.
    pub request: String,
    /// Empty where the whole build has it.
    pub step: String,
    pub worker: String,
    pub access: String,
    pub since_us: i64,
}

/// One that waits for a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockWaiterLine {
    pub request: String,
    /// Empty for a request that waits for its start.
    pub step: String,
    /// Empty for the same.
    pub worker: String,
    pub access: String,
    pub since_us: i64,
    /// Requests of the same builder that are served after it.
    pub behind: u64,
}
