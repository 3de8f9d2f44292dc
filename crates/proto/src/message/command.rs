//! Master and worker about commands: attach, start, stop, report, final acknowledgement.
//!
//! Every frame of the master that asks for something carries its epoch and session; a worker
//! refuses what is older than the connection it came on.

use secret::Secret;
use serde::{Deserialize, Serialize};

use super::messages;
use crate::Bytes;
use crate::word::wire_words;

messages! {
    Attach = ATTACH;
    Attached = ATTACHED;
    Start = START;
    Stop = STOP;
    FinalAck = FINAL_ACK;
    Report = REPORT;
    LeftProperties = LEFT_PROPERTIES;
    Availability = AVAILABILITY;
    BuildsLeft = BUILDS_LEFT;
    Probed = PROBED;
}

/// A command's id: the database's incarnation and its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId {
    pub incarnation: u64,
    pub counter: i64,
}

/// What a worker tells about its machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub os: String,
    pub arch: String,
    pub hostname: String,
    pub version: String,
    pub cores: u32,
    pub memory_bytes: u64,
    /// What ends and limits commands: `v2`, `v1` or `none`.
    #[serde(default)]
    pub cgroup: String,
}

/// A worker's first frame after the welcome: what it is and every command it still has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    pub boot_id: String,
    pub spool_id: String,
    pub max_builds: u32,
    pub facts: Facts,
    pub commands: Vec<Report>,
    #[serde(default = "ready")]
    pub readiness: Readiness,
}

wire_words! {
    /// Whether a worker takes new builds.
    pub enum Readiness {
        Ready = "ready",
        /// Builds that run go on to their end; no other begins.
        Draining = "draining",
    }
}

fn ready() -> Readiness {
    Readiness::Ready
}

/// A worker changed its mind about new builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    pub readiness: Readiness,
}

/// What the probes of a worker have found, all of them each time. Those that found nothing are
/// missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    pub findings: Vec<Finding>,
}

/// What one probe has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub name: String,
    /// The first line it said.
    pub value: String,
}

/// Tells a draining worker how many builds it still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildsLeft {
    pub epoch: i64,
    pub session: i64,
    pub builds: u32,
}

/// The master's answer: from where it wants each log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    pub logs: Vec<LogPosition>,
}

/// How much of a command's log the master holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    pub command: CommandId,
    /// Record-stream offset, in bytes.
    pub offset: u64,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub name: Bytes,
    pub value: Bytes,
}

wire_words! {
    /// What kind of program a command is.
    pub enum Program {
        /// `argv` is executed as it stands.
        Exec = "exec",
        /// `argv[0]` is a script body for `bash -euo pipefail`.
        Script = "script",
        /// The worker's own git step; `argv` holds its options.
        Git = "git",
    }
}

/// Asks a worker to run a command, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    pub epoch: i64,
    pub session: i64,
    pub command: CommandId,
    pub program: Program,
    pub argv: Vec<Bytes>,
    pub env: Vec<Variable>,
    pub builder: String,
    pub slot: u32,
    /// Below the build directory of the slot; empty for the directory itself.
    pub workdir: Bytes,
    pub timeout_ms: Option<u64>,
    pub silence_timeout_ms: Option<u64>,
    /// Most output that is kept; absent where the worker decides.
    #[serde(default)]
    pub max_output_bytes: Option<u64>,
    /// Most processes and threads at once; absent where the worker decides.
    #[serde(default)]
    pub max_processes: Option<u32>,
    /// Most memory; absent where the worker decides.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// The file below the working directory in which the command leaves properties, as JSON. It is
    /// removed before the command runs, and read when its processes are gone.
    #[serde(default)]
    pub properties_file: Option<Bytes>,
    /// What `secret_env` puts together. The output of the command must not show them, and no file
    /// of the worker may hold them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretValue>,
    /// Variables with secrets in them; they come after those of `env`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_env: Vec<SecretVariable>,
}

/// A secret, with what it is called in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretValue {
    pub name: String,
    pub value: Secret,
}

/// An environment variable that holds secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVariable {
    pub name: Bytes,
    pub pieces: Vec<SecretPiece>,
}

/// A piece of a value: a text, then the value of a secret where one is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretPiece {
    pub text: Bytes,
    #[serde(default)]
    pub secret: Option<String>,
}

/// Asks a worker to end a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    pub epoch: i64,
    pub session: i64,
    pub command: CommandId,
    /// First signal to the process group, such as 2 or 15.
    pub signal: i32,
    /// After this long the whole tree is killed.
    pub grace_ms: u64,
}

/// Tells a worker that result and log are safe: it may forget the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalAck {
    pub epoch: i64,
    pub session: i64,
    pub command: CommandId,
}

wire_words! {
    /// Where a command is in its life, as its worker sees it.
    pub enum Phase {
        Running = "running",
        Ended = "ended",
    }
}

wire_words! {
    /// How a command ended.
    pub enum Ending {
        Exited = "exited",
        Signal = "signal",
        Timeout = "timeout",
        OutOfMemory = "oom",
        /// It was refused a process or thread.
        ProcessLimit = "pids_limit",
        Cancelled = "cancelled",
        /// It could not be executed at all; `reason` says why.
        NotStarted = "not_started",
        /// What became of it is not known; `reason` says since when.
        Lost = "lost",
    }
}

/// Tells where a command is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub command: CommandId,
    pub phase: Phase,
    /// Present where `phase` is `Ended`.
    #[serde(default)]
    pub end: Option<End>,
}

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub ending: Ending,
    /// Exit code or signal number.
    #[serde(default)]
    pub code: i32,
    #[serde(default)]
    pub reason: String,
    /// Length of the whole log as a record stream, in bytes.
    pub log_bytes: u64,
    /// What the command left in its `properties_file`, as it stands. In an `Attach` there is none:
    /// it was sent before, as `LeftProperties`.
    #[serde(default)]
    pub properties: Option<Bytes>,
    /// Why it left none, where it was asked for some.
    #[serde(default)]
    pub no_properties: Option<String>,
}

/// Sent before an `Attach`, which could become too long for a frame: what one of its commands that
/// have ended left in its `properties_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftProperties {
    pub command: CommandId,
    pub properties: Bytes,
}
