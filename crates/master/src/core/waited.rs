//! Tells what a request has waited for.

use engine::Waits;
use engine::row::Request;
use proto::message::question::Reason;

use crate::duration::duration;

/// Lines are looked at every second, so a shorter wait may be none. In µs.
const LEAST_US: i64 = 1_000_000;

/// Tells what a request waited for until a moment: now, its start, or its end without one. The
/// longest is first.
pub fn reasons(request: &Request, until_us: i64) -> Vec<Reason> {
    told(&request.waits, request.submitted_us, until_us)
}

fn told(waits: &Waits, submitted_us: i64, until_us: i64) -> Vec<Reason> {
    let whole_us = (until_us - submitted_us).max(0);
    let mut spent = waits.spent.clone();
    if let Some((hindrance, since_us)) = &waits.now {
        *spent.entry(hindrance.clone()).or_default() += (until_us - since_us).max(0);
    }
    let mut parts: Vec<(i64, String)> =
        spent.into_iter().map(|(hindrance, us)| (us, format!("for {hindrance}"))).collect();
    let known_us: i64 = parts.iter().map(|(us, _)| us).sum();
    parts.push((whole_us - known_us, "for its turn in the queue".to_owned()));
    parts.retain(|(us, _)| *us >= LEAST_US);
    parts.sort_by_key(|(us, _)| std::cmp::Reverse(*us));
    let reason = |(us, what)| Reason {
        is_met: true,
        what: "waited".to_owned(),
        detail: format!("{} {what}", duration(us)),
    };
    parts.into_iter().map(reason).collect()
}

#[cfg(test)]
mod tests {
    use engine::{Hindrance, Waits};

    use super::told;

    #[test]
    fn a_wait_that_nobody_may_have_looked_at_yet_is_not_told() {
        let new = Waits::default();
        let worker = Waits { now: Some((Hindrance::Worker, 1_500_000)), ..Waits::default() };
        let cases: [(&Waits, i64, &[&str]); 4] = [
            (&new, 1_999_999, &[]),
            (&new, 2_000_000, &["for its turn in the queue"]),
            (&worker, 2_400_000, &[]),
            (&worker, 9_000_000, &["for a place on a worker"]),
        ];
        for (waits, until_us, expected) in cases {
            let told: Vec<String> =
                told(waits, 1_000_000, until_us).into_iter().map(|reason| reason.detail).collect();
            let is_as_expected = told.len() == expected.len()
                && told.iter().zip(expected).all(|(told, end)| told.ends_with(end));
            assert!(is_as_expected, "until {until_us}: {told:?}, not {expected:?}");
        }
    }
}
