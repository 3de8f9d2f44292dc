//! How long to wait between attempts to reach the master again.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// Pauses that double, within a minute from the loss on.
#[derive(Debug)]
pub(crate) struct Pauses {
    lost_at: Instant,
    next: Duration,
}

impl Pauses {
    pub(crate) fn begin(now: Instant) -> Self {
        Self { lost_at: now, next: FIRST }
    }

    /// Returns the next pause, or `None` when it is time to give up.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Duration> {
        if now.duration_since(self.lost_at) > PATIENCE {
            return None;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_spent_in_growing_pauses() {
        let begin = Instant::now();
        let mut pauses = Pauses::begin(begin);
        let mut now = begin;
        let mut given = Vec::new();
        while let Some(pause) = pauses.next(now) {
            given.push(pause);
            now += pause;
        }
        assert_eq!(given[0], FIRST);
        assert_eq!(given.last(), Some(&LONGEST));
        assert!(now - begin > PATIENCE && now - begin < PATIENCE + LONGEST * 2);
    }
}
