//! What a worker forgot within a connection, in bounded memory.
//!
//! Each id is kept while there are few. Then the lowest go, and what they leave is a mark for their
//! incarnation: everything up to it counts as forgotten. A master draws ids in rising order and
//! sends starts in that order, so what is below the mark and unknown is a start that came twice.
//! Where it is not, nothing runs: the master finds that out at the next attach, with which all of
//! this is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use crate::CommandId;

/// Ids that are kept one by one.
const MOST: usize = 1_024;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Forgotten {
    kept: BTreeSet<CommandId>,
    /// By incarnation, the highest counter that is no longer kept.
    marks: BTreeMap<u64, i64>,
}

impl Forgotten {
    pub(crate) fn insert(&mut self, command: CommandId) {
        self.kept.insert(command);
        if self.kept.len() > MOST
            && let Some(lowest) = self.kept.pop_first()
        {
            let mark = self.marks.entry(lowest.incarnation).or_insert(lowest.counter);
            *mark = lowest.counter.max(*mark);
        }
    }

    pub(crate) fn contains(&self, command: CommandId) -> bool {
        let mark = self.marks.get(&command.incarnation);
        mark.is_some_and(|mark| command.counter <= *mark) || self.kept.contains(&command)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(incarnation: u64, counter: i64) -> CommandId {
        CommandId { incarnation, counter }
    }

    #[test]
    fn memory_is_bounded_and_nothing_forgotten_is_taken_for_new() {
        let mut forgotten = Forgotten::default();
        for counter in 1..=100_000 {
            assert!(!forgotten.contains(id(7, counter)), "{counter} is new");
            forgotten.insert(id(7, counter));
        }
        assert_eq!((forgotten.kept.len(), forgotten.marks.len()), (MOST, 1));
        assert!((1..=100_000).all(|counter| forgotten.contains(id(7, counter))));
    }

    #[test]
    fn ends_in_any_order_leave_what_still_runs_to_its_own_id() {
        let mut forgotten = Forgotten::default();
        for counter in (1..=3_000).rev() {
            forgotten.insert(id(7, counter));
        }
        assert!((1..=3_000).all(|counter| forgotten.contains(id(7, counter))));
        assert!(!forgotten.contains(id(7, 3_001)));
    }

    #[test]
    fn ids_of_another_database_say_nothing_about_these() {
        let mut forgotten = Forgotten::default();
        for counter in 1..=5_000 {
            forgotten.insert(id(u64::MAX, counter));
        }
        assert!(!forgotten.contains(id(7, 1)));
        forgotten.insert(id(7, 1));
        assert!(forgotten.contains(id(7, 1)), "although it is the lowest");
    }
}
