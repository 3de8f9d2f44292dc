//! W3: no-op jobs per second, all submitted over one connection, until the master knows the end
//! of the last one.

use super::figure::{Figure, Metric};
use super::yard::{Bench, Yard};

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    [1, 4, 16].into_iter().map(|slots| with(bench, slots)).collect()
}

fn with(bench: &Bench, slots: usize) -> anyhow::Result<Figure> {
    let yard = Yard::new(bench, slots)?;
    let running = yard.start()?;
    yard.submit("noop", 50)?;
    let count = bench.times(2_000, 200);
    let rate = |_| Ok(count as f64 / yard.submit("noop", count)?);
    let rates: anyhow::Result<Vec<f64>> = (0..bench.times(5, 2)).map(rate).collect();
    let cost = running.cost()?;
    running.stop()?;
    let case = format!("slots={slots},submit=many");
    Ok(Figure::new(case, Metric::JobsPerS, rates?).with(cost))
}
