//! Tells what a request has waited for.

use engine::row::Request;
use proto::message::question::Reason;

use crate::duration::duration;

/// Lines are looked at every second, so a shorter wait may be none. In µs.
const LEAST_US: i64 = 1_000_000;

/// Tells what a request waited for until a moment: now, its start, or its end without one. The
/// longest is first.
pub fn reasons(request: &Request, until_us: i64) -> Vec<Reason> {
    let whole_us = (until_us - request.submitted_us).max(0);
    let mut spent = request.waits.spent.clone();
    if let Some((hindrance, since_us)) = &request.waits.now {
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
