//! Submissions that were accepted a moment ago.
//!
//! Whoever brings a submission looks its key up in the store first. That misses only what was
//! accepted since, so the engine remembers a minute, and no more than a number of them; the store
//! remembers for ever, and takes no key twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::row::SubmissionKey;

/// Longer than any event waits for its turn, while the database answers. In µs.
const LIFE_US: i64 = 60 * 1_000_000;
/// As many as events may wait for their turn.
const MOST: usize = 4_096;

type Id = (String, String);

/// What was answered lately, by principal and key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    answered: BTreeMap<Arc<Id>, SubmissionKey>,
    /// In the order of their coming, with the boot time of it.
    order: VecDeque<(i64, Arc<Id>)>,
}

impl Recent {
    /// Returns what was answered to a key, if that was lately.
    pub(crate) fn find(&self, principal: &str, key: &str) -> Option<&SubmissionKey> {
        self.answered.get(&(principal.to_owned(), key.to_owned()))
    }

    /// Remembers an answer and forgets old ones.
    pub(crate) fn remember(&mut self, boot_us: i64, row: SubmissionKey) {
        while let Some((at, _)) = self.order.front()
            && (*at <= boot_us.saturating_sub(LIFE_US) || self.order.len() >= MOST)
            && let Some((_, old)) = self.order.pop_front()
        {
            self.answered.remove(&old);
        }
        let id = Arc::new((row.principal.clone(), row.key.clone()));
        self.order.push_back((boot_us, id.clone()));
        self.answered.insert(id, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ChangeId;

    fn row(key: &str) -> SubmissionKey {
        SubmissionKey {
            principal: "token:ci".to_owned(),
            key: key.to_owned(),
            body: 1,
            change: ChangeId(1),
            requests: Vec::new(),
            schedulers: Vec::new(),
            accepted_us: 0,
        }
    }

    #[test]
    fn what_is_older_than_its_life_is_forgotten_with_the_next() {
        let mut recent = Recent::default();
        recent.remember(1, row("a"));
        recent.remember(LIFE_US, row("b"));
        assert!(recent.find("token:ci", "a").is_some());
        assert!(recent.find("token:other", "a").is_none());
        recent.remember(LIFE_US + 1, row("c"));
        assert!(recent.find("token:ci", "a").is_none());
        assert!(recent.find("token:ci", "b").is_some());
        assert_eq!((recent.answered.len(), recent.order.len()), (2, 2));
    }
    #[test]
    fn a_flood_of_submissions_pushes_the_oldest_out() {
        let mut recent = Recent::default();
        for number in 0..2 * MOST {
            recent.remember(1, row(&number.to_string()));
        }
        let is_found = |number: usize| recent.find("token:ci", &number.to_string()).is_some();
        assert!((0..MOST).all(|number| !is_found(number)));
        assert!((MOST..2 * MOST).all(is_found));
        assert_eq!((recent.answered.len(), recent.order.len()), (MOST, MOST));
    }
}
