//! How long to wait before the next round over the masters.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// A master that said no will not soon say yes: an administrator has to act.
const REFUSED: Duration = Duration::from_secs(30);

/// Doubles with every round that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// Returns the pause after a round without a connection. `random` spreads it between a half
    /// and the whole, so that a hundred workers do not come back as one.
    pub(super) fn failed(&mut self, random: u32) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(LONGEST);
        spread(whole, random)
    }

    /// Returns the pause after a round in which a master refused.
    pub(super) fn refused(&mut self, random: u32) -> Duration {
        self.next = FIRST;
        // Spread upwards: never earlier than promised.
        REFUSED + spread(LONGEST, random) / 2
    }

    /// A connection stood for this long. Only one that outlasted the pause it would have to be
    /// followed by ends an outage: two workers with one token cut each other off and must not do
    /// so ever faster.
    pub(super) fn stood(&mut self, time: Duration) {
        if time >= self.next {
            self.next = FIRST;
        }
    }
}

fn spread(whole: Duration, random: u32) -> Duration {
    let half = whole / 2;
    half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_connection_that_stood() {
        let mut backoff = Backoff::new();
        let mut pauses: Vec<u128> = (0..9).map(|_| backoff.failed(u32::MAX).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        backoff.stood(Duration::from_secs(1));
        pauses.push(backoff.failed(u32::MAX).as_millis());
        backoff.stood(Duration::from_secs(10));
        pauses.push(backoff.failed(u32::MAX).as_millis());
        assert_eq!(pauses[9..], [5000, 50]);
    }

    #[test]
    fn a_master_that_is_restarted_now_and_then_is_found_at_once() {
        let mut backoff = Backoff::new();
        for _ in 0..20 {
            assert!(backoff.failed(u32::MAX) <= FIRST);
            assert!(backoff.failed(u32::MAX) <= FIRST * 2);
            backoff.stood(Duration::from_secs(1));
        }
    }

    #[test]
    fn chance_halves_a_pause_at_most() {
        assert_eq!(Backoff::new().failed(0), FIRST / 2);
        let middle = Backoff::new().failed(u32::MAX / 2).as_micros();
        assert!((37_400..37_600).contains(&middle), "{middle}");
    }

    #[test]
    fn a_refusal_is_not_asked_again_for_half_a_minute() {
        for random in [0, u32::MAX] {
            let pause = Backoff::new().refused(random);
            assert!(pause >= REFUSED && pause <= REFUSED + LONGEST, "{pause:?}");
        }
    }
}
