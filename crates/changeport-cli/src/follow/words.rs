//! What is said about a launch that waits, starts, or cannot be followed any more.

use std::time::Duration;

use proto::message::launch::Progress;

use super::Run;
use crate::connection::Trouble;
use crate::exit;
use crate::notice::{Complaint, duration};
use crate::settings::Patience;
use crate::verb;

/// Says where a request waits, and what for.
pub(crate) fn queued(progress: &Progress) -> String {
    let Progress { request, place, detail, .. } = progress;
    let mut text = format!("queued as {request}");
    if *place > 0 {
        text.push_str(&format!(", {} in line", ordinal(*place)));
    }
    if !detail.is_empty() {
        text.push_str(&format!(": {detail}"));
    }
    text
}

/// Says that a wait is over.
pub(super) fn started(detail: &str, waited: Duration) -> String {
    format!("started{} after {}", place_in(detail), duration(waited))
}

/// Says the same to somebody who sees how the line moves.
pub(super) fn your_turn(detail: &str) -> String {
    format!("it's your turn, starting{}", place_in(detail))
}

/// Returns where it runs: what a master says before it goes into the steps.
fn place_in(detail: &str) -> String {
    let place = detail.split(',').next().unwrap_or_default();
    if place.is_empty() { String::new() } else { format!(" {place}") }
}

/// Says how long the caller was ready to wait.
pub(super) fn in_time(run: &Run<'_>) -> String {
    match run.settings.patience {
        Patience::AtMost(time) => format!("within {}", duration(time)),
        Patience::Forever | Patience::None | Patience::Detach => "in time".to_owned(),
    }
}

/// Shows a place in a line: 1st, 2nd, 3rd, 11th.
fn ordinal(place: u32) -> String {
    let suffix = match (place % 10, place % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{place}{suffix}")
}

impl Run<'_> {
    /// Says what a trouble means for this launch.
    pub(super) fn complaint(&self, trouble: &Trouble) -> Complaint {
        let is_lost = matches!(trouble, Trouble::Lost(_) | Trouble::Unreachable(_));
        match &self.request {
            Some(request) if is_lost => Complaint::new(
                exit::UNREACHABLE,
                format!("the master has not answered for a minute, and {request} may still run"),
                format!("later: changeport wait {request}"),
            ),
            Some(request) => Complaint::new(
                exit::UNKNOWN_OUTCOME,
                format!("{request}: {trouble}"),
                "outcome unknown, it may have run",
            ),
            None if is_lost && self.was_sent => Complaint::new(
                exit::UNKNOWN_OUTCOME,
                format!("the master has not answered {} for a minute", self.known_as()),
                "outcome unknown, it may have run",
            ),
            None => verb::complaint(trouble, &self.settings.address.master),
        }
    }

    pub(super) fn known_as(&self) -> String {
        self.request.clone().unwrap_or_else(|| format!("launch {}", self.launch.launch_id))
    }
}

#[cfg(test)]
mod tests {
    use proto::message::launch::Stage;

    use super::*;

    #[test]
    fn places_read_well() {
        let shown: Vec<String> = [1, 2, 3, 4, 11, 12, 21, 111].map(ordinal).into();
        assert_eq!(shown, ["1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "111th"]);
    }

    #[test]
    fn an_end_of_a_wait_tells_where_it_runs() {
        let time = Duration::from_secs(1_450);
        assert_eq!(started("on w1, step make", time), "started on w1 after 24m10s");
        assert_eq!(started("", time), "started after 24m10s");
        assert_eq!(your_turn("on w1"), "it's your turn, starting on w1");
    }

    #[test]
    fn a_wait_tells_only_what_is_known() {
        let mut progress = Progress {
            request: "hello#12".to_owned(),
            stage: Stage::Queued,
            place: 2,
            detail: "no worker is free".to_owned(),
        };
        assert_eq!(queued(&progress), "queued as hello#12, 2nd in line: no worker is free");
        progress.place = 0;
        progress.detail.clear();
        assert_eq!(queued(&progress), "queued as hello#12");
    }
}
