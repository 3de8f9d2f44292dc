//! Changes that a scheduler holds until its stable timer fires.

use config::Name;

use crate::id::ChangeId;
use crate::table::Row;

/// One stable timer with the changes it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub scheduler: Name,
    /// What the scheduler keeps apart, such as a branch; empty where it keeps nothing apart.
    pub lane: String,
    /// In the order of arrival. Empty once it fired.
    pub changes: Vec<ChangeId>,
    /// When the timer was started, µs since 1970.
    pub armed_us: i64,
    /// How long it runs, in µs.
    pub stable_us: i64,
}

impl Row for Pending {
    type Key = (Name, String);

    fn key(&self) -> (Name, String) {
        (self.scheduler.clone(), self.lane.clone())
    }

    fn is_alive(&self) -> bool {
        !self.changes.is_empty()
    }
}
