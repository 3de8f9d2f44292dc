//! W5: from the start of a master until it is ready, with a new database and with a known one;
//! resident memory of a master and a worker that have nothing to do.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::figure::{Figure, Metric};
use super::process;
use super::yard::{Bench, Yard};

/// What is done once after a start is done by then.
const TO_BE_IDLE: Duration = Duration::from_secs(1);

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let (mut new, mut known) = (Vec::new(), Vec::new());
    for _ in 0..bench.times(20, 3) {
        let yard = Yard::new(bench, 4)?;
        new.push(to_ready_s(&mut yard.master_command())?);
        known.push(to_ready_s(&mut yard.master_command())?);
    }
    let mut figures = vec![
        Figure::new("database=new", Metric::ReadyS, new),
        Figure::new("database=known", Metric::ReadyS, known),
    ];
    figures.extend(memory(bench)?);
    Ok(figures)
}

/// Starts a master, waits until it says that it is ready, and ends it.
pub(super) fn to_ready_s(command: &mut Command) -> anyhow::Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut master = command.spawn().context("start the master")?;
    let seconds = wait_until_ready(&mut master, begun);
    let status = master.wait().context("wait for the master")?;
    seconds.with_context(|| format!("the master ended with {status}"))
}

fn wait_until_ready(master: &mut Child, begun: Instant) -> anyhow::Result<f64> {
    let log = master.stderr.take().context("read the master's log")?;
    let mut lines = BufReader::new(log).lines();
    let seconds = loop {
        let Some(line) = lines.next() else { bail!("it was never ready") };
        if line.context("read the master's log")?.contains("ready: ") {
            break begun.elapsed().as_secs_f64();
        }
    };
    kill_process(Pid::from_child(master), Signal::TERM).context("stop the master")?;
    // Its log is read to the end: a pipe that nobody reads would hold it up.
    lines.for_each(drop);
    Ok(seconds)
}

fn memory(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let (mut of_master, mut of_worker, mut with_spawners) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.times(5, 2) {
        let yard = Yard::new(bench, 4)?;
        let running = yard.start()?;
        std::thread::sleep(TO_BE_IDLE);
        of_master.push(process::rss_mb(running.master.pid())?);
        let worker = process::rss_mb(running.worker.pid())?;
        let spawners = process::children(running.worker.pid()).into_iter().map(process::rss_mb);
        of_worker.push(worker);
        with_spawners.push(worker + spawners.sum::<anyhow::Result<f64>>()?);
        running.stop()?;
    }
    Ok(vec![
        Figure::new("idle,process=master", Metric::RssMb, of_master),
        Figure::new("idle,process=worker", Metric::RssMb, of_worker),
        Figure::new("idle,process=worker+spawners", Metric::RssMb, with_spawners),
    ])
}
