//! W4: from the launch of jobs that write lines of 100 bytes until the master has their logs,
//! sealed and readable by line; and how much master and worker grow meanwhile.

use super::figure::{Figure, Metric};
use super::process;
use super::yard::{Bench, Yard};

const SLOTS: usize = 10;
/// What is loaded or made once is there after a job of so many lines.
const WARM_LINES: usize = 10_000;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let all = bench.times(1_000_000, 100_000);
    let mut figures = with(bench, 1, all)?;
    figures.extend(with(bench, 10, all / 10)?);
    Ok(figures)
}

fn with(bench: &Bench, jobs: usize, lines: usize) -> anyhow::Result<Vec<Figure>> {
    let (mut seconds, mut of_master, mut of_worker) = (Vec::new(), Vec::new(), Vec::new());
    let yard = Yard::new(bench, SLOTS)?;
    let running = yard.start()?;
    let (master, worker) = (running.master.pid(), running.worker.pid());
    yard.log(1, WARM_LINES)?;
    let before = (process::rss_mb(master)?, process::rss_mb(worker)?);
    for _ in 0..bench.times(5, 2) {
        seconds.push(yard.log(jobs, lines)?);
        of_master.push(process::peak_rss_mb(master)? - before.0);
        of_worker.push(process::peak_rss_mb(worker)? - before.1);
    }
    let cost = running.cost()?;
    running.stop()?;
    let case = format!("jobs={jobs},lines={lines}");
    Ok(vec![
        Figure::new(&*case, Metric::Seconds, seconds).with(cost),
        Figure::new(format!("{case},growth=master"), Metric::RssMb, of_master),
        Figure::new(format!("{case},growth=worker"), Metric::RssMb, of_worker),
    ])
}
