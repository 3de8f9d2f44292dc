//! W2: one launch on an idle system, from before its client is executed until its command runs,
//! and until the client has returned.

use std::time::Duration;

use super::figure::{Figure, Metric};
use super::yard::{Bench, Yard, read_number};

/// The last launch's log is sealed and its spool removed by then.
const TO_BE_IDLE: Duration = Duration::from_millis(20);

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let yard = Yard::new(bench, 4)?;
    let running = yard.start()?;
    let silent = yard.launcher("moment");
    let speaking = yard.launcher("line");
    yard.run((bench.times(10, 2), 1), &[&silent])?;
    let (mut started, mut returned, mut returned_with_line) = (Vec::new(), Vec::new(), Vec::new());
    // In turn, so that both cases see the same machine.
    for _ in 0..bench.times(200, 10) {
        std::thread::sleep(TO_BE_IDLE);
        for ran in yard.run((1, 1), &[&silent])? {
            started.push((read_number(&yard.path("moment.ns"))? - ran.begin_ns) / 1e6);
            returned.push(ran.wall_ms());
        }
        std::thread::sleep(TO_BE_IDLE);
        returned_with_line.extend(yard.run((1, 1), &[&speaking])?.iter().map(|ran| ran.wall_ms()));
    }
    let cost = running.cost()?;
    running.stop()?;
    Ok(vec![
        Figure::new("output=none", Metric::ToStartedMs, started).with(cost),
        Figure::new("output=none", Metric::ToReturnedMs, returned),
        Figure::new("output=line", Metric::ToReturnedMs, returned_with_line),
    ])
}
