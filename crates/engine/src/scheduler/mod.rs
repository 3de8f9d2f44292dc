//! Schedulers: which builders a change concerns, and when.
//!
//! A kind answers two questions about a change: is it mine, and in which lane does it wait for
//! its stable timer. To add one: its file with a struct that decodes itself, a variant of
//! `SchedulerKind`, and a line in `kinds`.

mod any_branch;
mod single_branch;

use std::time::Duration;

use config::Name;
use config::filter::ChangeFilter;

pub use any_branch::AnyBranch;
pub use single_branch::SingleBranch;

use crate::row::Change;
use crate::subject;

/// One scheduler of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduler {
    pub name: Name,
    pub change_source: Name,
    pub filter: ChangeFilter,
    /// How long no further change may come before it fires; fires at once where absent.
    pub stable_timer: Option<Duration>,
    pub builders: Vec<Name>,
    pub kind: SchedulerKind,
}

/// How a scheduler keeps changes apart.
#[derive(Debug, Clone, PartialEq)]
pub enum SchedulerKind {
    AnyBranch(AnyBranch),
    SingleBranch(SingleBranch),
}

impl Scheduler {
    /// Returns the lane in which the change waits, or `None` where it is not for this scheduler.
    pub(crate) fn lane(&self, change: &Change) -> Option<String> {
        if change.source != self.change_source {
            return None;
        }
        if !self.filter.matches(&|attribute| subject::attribute(change, attribute)) {
            return None;
        }
        match &self.kind {
            SchedulerKind::AnyBranch(kind) => Some(kind.lane(change)),
            SchedulerKind::SingleBranch(kind) => kind.lane(change),
        }
    }
}
