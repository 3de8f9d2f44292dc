//! How many connections each caller has, so that one who opens more and more leaves some to others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, getrlimit};

/// A caller has at most this part of the descriptors the process may have.
const PART: u64 = 4;
/// And so many in any case.
const LEAST: u64 = 16;

/// The connections of all callers, by principal.
#[derive(Debug, Clone)]
pub struct Callers {
    most: u64,
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// A caller's connection is counted while this lives.
#[derive(Debug)]
pub(super) struct Seat {
    callers: Callers,
    principal: String,
}

/// A caller has as many connections as one may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{principal} has {most} connections, and may have no more")]
pub(super) struct TooMany {
    principal: String,
    most: u64,
}

impl Callers {
    /// Limits callers by what this process may open.
    pub fn of_process() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self::with_most((descriptors / PART).max(LEAST))
    }

    fn with_most(most: u64) -> Self {
        Self { most, counts: Arc::default() }
    }

    /// Counts one more connection of a caller.
    pub(super) fn enter(&self, principal: &str) -> Result<Seat, TooMany> {
        let mut counts = self.lock();
        let count = counts.entry(principal.to_owned()).or_default();
        if *count >= self.most {
            return Err(TooMany { principal: principal.to_owned(), most: self.most });
        }
        *count += 1;
        Ok(Seat { callers: self.clone(), principal: principal.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.callers.lock();
        if let Some(count) = counts.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_leaves_room_to_others_and_has_it_back() {
        let callers = Callers::with_most(2);
        let seats = [callers.enter("ann").unwrap(), callers.enter("ann").unwrap()];
        let refused = callers.enter("ann").unwrap_err();
        assert_eq!(refused.to_string(), "ann has 2 connections, and may have no more");
        drop(callers.enter("bob").unwrap());
        drop(seats);
        assert!(callers.lock().is_empty(), "nobody is remembered");
        callers.enter("ann").unwrap();
    }
}
