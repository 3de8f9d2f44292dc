//! W5w: workers that attach at once. Each is a connection of the probe that shakes hands as a
//! worker does: from before the first connection until the master has them all; and what the
//! master has in memory when they have been idle for a second.

use std::time::Duration;

use super::figure::{Figure, Metric};
use super::process;
use super::yard::{Bench, Yard};

/// What is done once after an attach is done by then.
const TO_BE_IDLE: Duration = Duration::from_secs(1);

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut figures = with(bench, 100)?;
    figures.extend(with(bench, 1_000)?);
    Ok(figures)
}

fn with(bench: &Bench, workers: usize) -> anyhow::Result<Vec<Figure>> {
    let (mut seconds, mut tries_again, mut rss_mb) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.times(5, 2) {
        let yard = Yard::crowd(bench, workers)?;
        let (master, port) = yard.start_master()?;
        let crowd = yard.attach_crowd(&port)?;
        seconds.push(crowd.seconds);
        tries_again.push(crowd.tries_again / workers as f64);
        std::thread::sleep(TO_BE_IDLE);
        rss_mb.push(process::rss_mb(master.pid())?);
        crowd.leave()?;
        master.stop()?;
    }
    let case = format!("workers={workers}");
    Ok(vec![
        Figure::new(&*case, Metric::Seconds, seconds),
        Figure::new(format!("{case},tries_again"), Metric::Ratio, tries_again),
        Figure::new(format!("{case},process=master"), Metric::RssMb, rss_mb),
    ])
}
