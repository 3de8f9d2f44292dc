//! The command line asking about configurations, and for another one.

use serde::{Deserialize, Serialize};

use super::messages;
use crate::Bytes;

messages! {
    ConfigPart = CONFIG_PART;
    PlanWanted = PLAN_WANTED;
    Plan = PLAN;
    ReloadWanted = RELOAD_WANTED;
    Reloaded = RELOADED;
    BadConfig = BAD_CONFIG;
    RevisionWanted = REVISION_WANTED;
    Revision = REVISION;
}

/// A piece of a file of a configuration, before the message that is about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigPart {
    /// Counts the files from 0. Pieces of one file follow each other.
    pub file: u32,
    /// As people know the file.
    pub path: Bytes,
    /// Where relative paths in it begin.
    pub folder: Bytes,
    pub text: Bytes,
}

/// Asks what the configuration of the parts before would change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanWanted {
    /// What waits for builders that are gone is cancelled.
    #[serde(default)]
    pub cancel_queued: bool,
}

/// What a configuration changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The configuration in force.
    pub revision: i64,
    /// What the new one is going to be; the same number where nothing changes.
    pub next: i64,
    /// The file that the master reads.
    pub path: Bytes,
    pub differences: Vec<DifferenceLine>,
    pub affected: Vec<AffectedLine>,
    /// Affected requests that are not listed.
    pub left_out: u32,
    /// Changes that schedulers hold and let go of.
    pub let_go: Vec<LetGo>,
}

/// One difference between two configurations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceLine {
    /// Such as `builder.ci.steps[test].timeout`.
    pub path: String,
    /// Empty where it is new.
    pub old: String,
    /// Empty where it is gone.
    pub new: String,
    /// It takes effect when the master starts again.
    pub needs_restart: bool,
}

/// A request that a configuration touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffectedLine {
    /// `cancelled`, `drained`, `started` or `finishing`.
    pub fate: String,
    pub request: String,
    pub owner: String,
    pub builder: String,
    /// Where it runs or is going to, if it does.
    pub worker: String,
}

/// Changes that a scheduler lets go of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetGo {
    pub scheduler: String,
    pub changes: u32,
}

/// Asks the master to read its configuration anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadWanted {
    /// Only if it is what was planned under this number.
    #[serde(default)]
    pub revision: Option<i64>,
    #[serde(default)]
    pub cancel_queued: bool,
}

/// The configuration is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What it has changed.
    pub plan: Plan,
}

/// The configuration cannot be used, and nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadConfig {
    /// What is wrong with it, for people.
    pub text: String,
}

/// Asks for a configuration that was accepted once; its parts come before the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionWanted {
    /// The newest where 0.
    pub revision: i64,
}

/// The configuration of the parts before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    pub revision: i64,
    pub loaded_us: i64,
}
