//! Words in the log about trouble that others can make as often as they like.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines about one troublemaker within a `PAUSE`.
const MOST_LINES: u64 = 8;
const PAUSE: Duration = Duration::from_secs(5);
/// Troublemakers that are remembered; whoever has so many faces is counted anew.
const MOST_KEYS: usize = 1_024;

/// Lets a few lines through for each key and counts the others.
#[derive(Debug)]
pub struct Throttle<K> {
    counts: Mutex<BTreeMap<K, Count>>,
}

#[derive(Debug)]
struct Count {
    until: Instant,
    lines: u64,
    held_back: u64,
}

impl<K> Default for Throttle<K> {
    fn default() -> Self {
        Self { counts: Mutex::default() }
    }
}

impl<K: Ord> Throttle<K> {
    /// Says whether a line may be written now: how many were held back since the last one.
    pub fn pass(&self, key: K, now: Instant) -> Option<u64> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_KEYS && !counts.contains_key(&key) {
            counts.clear();
        }
        let fresh = || Count { until: now + PAUSE, lines: 0, held_back: 0 };
        let count = counts.entry(key).or_insert_with(fresh);
        if now >= count.until {
            (count.until, count.lines) = (now + PAUSE, 0);
        }
        if count.lines == MOST_LINES {
            count.held_back += 1;
            return None;
        }
        count.lines += 1;
        Some(std::mem::take(&mut count.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_few_lines_and_the_rest_is_counted() {
        let (throttle, begun) = (Throttle::default(), Instant::now());
        for _ in 0..MOST_LINES {
            assert_eq!(throttle.pass('a', begun), Some(0));
        }
        assert_eq!([throttle.pass('a', begun), throttle.pass('a', begun)], [None, None]);
        assert_eq!(throttle.pass('b', begun), Some(0));
        assert_eq!(throttle.pass('a', begun + PAUSE), Some(2));
        assert_eq!(throttle.pass('a', begun + PAUSE), Some(0));
    }

    #[test]
    fn a_thousand_faces_do_not_fill_the_memory() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        (0..3 * MOST_KEYS).for_each(|key| assert!(throttle.pass(key, now).is_some()));
        assert!(throttle.counts.lock().unwrap().len() <= MOST_KEYS);
    }
}
