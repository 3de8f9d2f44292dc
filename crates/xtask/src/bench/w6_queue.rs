//! W6: no-op jobs per second beside a long queue of other builders, compared with an empty one, and
//! the start of a master that has such a queue.

use super::figure::{Figure, Metric};
use super::w5_start::to_ready_s;
use super::yard::{Bench, Yard};

/// The queue is theirs, in equal parts.
const BUILDERS: usize = 100;
const SLOTS: usize = 4;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let waiting = bench.times(100_000, 10_000);
    let (empty, full) = (filled(bench, 0)?, filled(bench, waiting)?);
    let running = (empty.start()?, full.start()?);
    let count = bench.times(1_000, 200);
    for yard in [&empty, &full] {
        yard.submit("noop", 50)?;
    }
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    // In turns: what else the machine does is the same for both.
    for _ in 0..bench.times(5, 2) {
        alone.push(count as f64 / empty.submit("noop", count)?);
        beside.push(count as f64 / full.submit("noop", count)?);
    }
    let ratios = beside.iter().zip(&alone).map(|(beside, alone)| beside / alone).collect();
    running.0.stop()?;
    running.1.stop()?;
    let restarts = (0..bench.times(5, 2)).map(|_| to_ready_s(&mut full.master_command()));
    let restarts: anyhow::Result<Vec<f64>> = restarts.collect();
    let case = |queue| format!("slots={SLOTS},waiting={queue}");
    Ok(vec![
        Figure::new(case(0), Metric::JobsPerS, alone),
        Figure::new(case(waiting), Metric::JobsPerS, beside),
        Figure::new(case(waiting), Metric::Ratio, ratios),
        Figure::new(case(waiting), Metric::ReadyS, restarts?),
    ])
}

/// Makes a yard in which so many requests wait for a worker that is not there.
fn filled(bench: &Bench, waiting: usize) -> anyhow::Result<Yard<'_>> {
    let yard = Yard::new(bench, SLOTS)?;
    yard.add_stuck_builders(BUILDERS)?;
    if waiting > 0 {
        let (master, _port) = yard.start_master()?;
        for number in 0..BUILDERS {
            yard.fill(&format!("wait{number}"), waiting / BUILDERS)?;
        }
        master.stop()?;
    }
    Ok(yard)
}
