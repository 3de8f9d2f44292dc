//! How to go on after a lost connection: growing pauses, a minute in all.

use std::time::{Duration, Instant};

use crate::connection::Trouble;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);
/// A connection that lasted so long ends an outage; a shorter one is part of it.
const STEADY: Duration = Duration::from_secs(1);

/// The pauses of one outage.
#[derive(Debug)]
pub(crate) struct Pauses {
    lost_at: Option<Instant>,
    next: Duration,
}

impl Pauses {
    pub(crate) fn new() -> Self {
        Self { lost_at: None, next: FIRST }
    }

    /// Takes note of a connection that was good for a while.
    pub(crate) fn connected(&mut self, lasted: Duration) {
        if lasted >= STEADY {
            *self = Self::new();
        }
    }

    /// Returns the next pause, or `None` when it is time to give up.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Duration> {
        let lost_at = *self.lost_at.get_or_insert(now);
        if now.duration_since(lost_at) > PATIENCE {
            return None;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        Some(pause)
    }
}

/// Tries what may be asked twice until it succeeds, is refused, or the master stays away. A
/// master that does not even answer the first time is not waited for.
pub(crate) fn insist<T>(
    mut attempt: impl FnMut(&mut Pauses) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let mut pauses = Pauses::new();
    let mut was_lost = false;
    loop {
        let trouble = match attempt(&mut pauses) {
            Ok(outcome) => return Ok(outcome),
            Err(trouble @ Trouble::Lost(_)) => trouble,
            Err(trouble @ Trouble::Unreachable(_)) if was_lost => trouble,
            Err(trouble) => return Err(trouble),
        };
        was_lost = true;
        match pauses.next(Instant::now()) {
            Some(pause) => std::thread::sleep(pause),
            // What was asked may have been heard: it is not as if nobody had ever answered.
            None => return Err(lost_for_good(trouble)),
        }
    }
}

fn lost_for_good(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Unreachable(error) => Trouble::Lost(error),
        other @ (Trouble::Lost(_)
        | Trouble::Refused(_)
        | Trouble::NotUnderstood(_)
        | Trouble::TooLarge(_)) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_spent_in_growing_pauses() {
        let begin = Instant::now();
        let mut pauses = Pauses::new();
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

    #[test]
    fn a_second_outage_has_a_minute_of_its_own() {
        let begin = Instant::now();
        let mut pauses = Pauses::new();
        assert_eq!(pauses.next(begin), Some(FIRST));
        pauses.connected(STEADY);
        assert_eq!(pauses.next(begin + PATIENCE * 5), Some(FIRST));
    }

    #[test]
    fn a_master_that_falls_over_at_once_is_given_up_after_a_minute() {
        let begin = Instant::now();
        let mut pauses = Pauses::new();
        assert_eq!(pauses.next(begin), Some(FIRST));
        pauses.connected(STEADY / 2);
        assert_eq!(pauses.next(begin + PATIENCE * 2), None);
    }
}
