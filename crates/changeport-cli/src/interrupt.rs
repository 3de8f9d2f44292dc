//! What each Ctrl-C does: leave the queue; interrupt, then terminate, then detach.

use std::time::{Duration, Instant};

/// Presses further apart are not one wish.
const TOGETHER: Duration = Duration::from_secs(2);

/// What to do about a press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Take the request back: it has not started.
    Leave,
    /// SIGINT to the app.
    Interrupt,
    /// SIGTERM to the app.
    Terminate,
    /// Go away and let it run.
    Detach,
}

/// The presses so far.
#[derive(Debug, Default)]
pub(crate) struct Presses {
    last: Option<(Instant, Act)>,
}

impl Presses {
    /// Takes a press.
    pub(crate) fn press(&mut self, is_running: bool, now: Instant) -> Act {
        let recent = self.last.filter(|(at, _)| now.duration_since(*at) <= TOGETHER);
        let act = match recent.map(|(_, act)| act) {
            _ if !is_running => Act::Leave,
            None | Some(Act::Leave | Act::Detach) => Act::Interrupt,
            Some(Act::Interrupt) => Act::Terminate,
            Some(Act::Terminate) => Act::Detach,
        };
        self.last = Some((now, act));
        act
    }

    /// Takes note of a press that meant to leave and became an interrupt.
    pub(crate) fn interrupted(&mut self, now: Instant) {
        self.last = Some((now, Act::Interrupt));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_presses_in_a_row_detach() {
        let mut presses = Presses::default();
        let now = Instant::now();
        assert_eq!(presses.press(true, now), Act::Interrupt);
        assert_eq!(presses.press(true, now + TOGETHER), Act::Terminate);
        assert_eq!(presses.press(true, now + TOGETHER * 2), Act::Detach);
    }

    #[test]
    fn a_press_much_later_begins_anew() {
        let mut presses = Presses::default();
        let now = Instant::now();
        assert_eq!(presses.press(true, now), Act::Interrupt);
        assert_eq!(presses.press(true, now + TOGETHER * 3), Act::Interrupt);
    }

    #[test]
    fn in_the_queue_every_press_leaves() {
        let mut presses = Presses::default();
        assert_eq!(presses.press(false, Instant::now()), Act::Leave);
        assert_eq!(presses.press(false, Instant::now()), Act::Leave);
    }
}
