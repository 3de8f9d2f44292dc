//! W3c: CPU per no-op job, of the master, and of the worker with shims and jobs.

use super::figure::{Figure, Metric};
use super::group::Group;
use super::process;
use super::yard::{Bench, Yard};
use crate::say;

const SLOTS: usize = 4;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let group = match Group::new() {
        Ok(group) => group,
        Err(error) => {
            say(&format!("SKIPPED: W3c: {error:#}"));
            return Ok(Vec::new());
        }
    };
    let yard = Yard::new(bench, SLOTS)?;
    let running = yard.start_in(&group)?;
    yard.submit("noop", 50)?;
    let count = bench.times(2_000, 200);
    let (mut of_master, mut of_worker) = (Vec::new(), Vec::new());
    for _ in 0..bench.times(5, 2) {
        let before = (process::cpu_s(running.master.pid())?, group.cpu_ms()?);
        yard.submit("noop", count)?;
        let after = (process::cpu_s(running.master.pid())?, group.cpu_ms()?);
        of_master.push((after.0 - before.0) * 1e3 / count as f64);
        of_worker.push((after.1 - before.1) / count as f64);
    }
    let cost = running.cost()?;
    running.stop()?;
    let case = format!("slots={SLOTS},submit=many");
    Ok(vec![
        Figure::new(&*case, Metric::MasterCpuMsPerJob, of_master).with(cost),
        Figure::new(case, Metric::WorkerCpuMsPerJob, of_worker),
    ])
}
