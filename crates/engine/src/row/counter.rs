//! Counters from which ids and request numbers are drawn.

use crate::table::Row;

/// A counter by name: `change`, `request`, … for ids, `#LABEL` for the numbers of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    pub name: String,
    /// The last value given out.
    pub value: i64,
}

impl Row for Counter {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn is_alive(&self) -> bool {
        true
    }
}
