//! W1: one `changeport send`, answered after the durable commit.

use super::figure::{Figure, Metric};
use super::yard::{Bench, Yard};

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let yard = Yard::new(bench, 1)?;
    let running = yard.start()?;
    let send = [&*yard.changeport(), "send"];
    yard.run((bench.times(20, 2), 1), &send)?;
    let ran = yard.run((bench.times(500, 20), 1), &send)?;
    let cost = running.cost()?;
    running.stop()?;
    Ok(vec![
        Figure::new("send", Metric::WallMs, ran.iter().map(|ran| ran.wall_ms()).collect())
            .with(cost),
        Figure::new("send", Metric::RssMb, ran.iter().map(|ran| ran.peak_rss_mb).collect()),
        Figure::new("send,cpu", Metric::Seconds, ran.iter().map(|ran| ran.cpu_s).collect()),
    ])
}
