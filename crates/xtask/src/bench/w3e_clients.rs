//! W3e: no-op jobs per second, one client process per job, eight of them at once. A client either
//! follows its job to the end or leaves with its id.

use super::figure::{Figure, Metric};
use super::yard::{Bench, Yard};

const CLIENTS: usize = 8;
const SLOTS: usize = 16;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let yard = Yard::new(bench, SLOTS)?;
    let running = yard.start()?;
    let count = bench.times(1_000, 100);
    let launcher = yard.launcher("noop");
    let changeport = yard.changeport();
    let follow = || -> anyhow::Result<f64> {
        let ran = yard.run((count, CLIENTS), &[&launcher])?;
        let end = ran.iter().map(|ran| ran.end_ns).fold(0.0, f64::max);
        Ok(rate(count, end - begin(&ran)))
    };
    let leave = || -> anyhow::Result<f64> {
        let ran = yard.run((count, CLIENTS), &[&changeport, "submit", "noop"])?;
        Ok(rate(count, yard.when_idle()? - begin(&ran)))
    };
    let (mut following, mut leaving) = (Vec::new(), Vec::new());
    for _ in 0..bench.times(5, 2) {
        following.push(follow()?);
        leaving.push(leave()?);
    }
    let cost = running.cost()?;
    running.stop()?;
    let case = |client: &str| format!("slots={SLOTS},clients={CLIENTS},{client}");
    Ok(vec![
        Figure::new(case("follow"), Metric::JobsPerS, following).with(cost),
        Figure::new(case("detach"), Metric::JobsPerS, leaving),
    ])
}

fn begin(ran: &[super::probe::Ran]) -> f64 {
    ran.iter().map(|ran| ran.begin_ns).fold(f64::INFINITY, f64::min)
}

fn rate(count: usize, ns: f64) -> f64 {
    count as f64 / (ns / 1e9)
}
