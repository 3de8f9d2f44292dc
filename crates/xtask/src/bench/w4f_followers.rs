//! W4f: what it costs a job that writes many lines that its followers have stopped. The job itself
//! measures how long writing takes it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::figure::{Figure, Metric};
use super::yard::{Bench, Yard, read_number};

const FOLLOWERS: usize = 100;
const SLOTS: usize = 4;
const GLANCE: Duration = Duration::from_millis(10);
/// For the followers to be there.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let lines = bench.times(1_000_000, 100_000);
    let yard = Yard::new(bench, SLOTS)?;
    let running = yard.start()?;
    let (mut alone, mut followed, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let times = bench.times(15, 2);
    for round in 0..=times {
        let one = Round { yard: &yard, build: 2 * round + 1, lines }.run(0)?;
        let all = Round { yard: &yard, build: 2 * round + 2, lines }.run(FOLLOWERS)?;
        // The first round warms up.
        if round > 0 {
            alone.push(one);
            followed.push(all);
            ratios.push(all / one);
        }
    }
    let cost = running.cost()?;
    running.stop()?;
    let case = |followers: usize| format!("lines={lines},stopped={followers}");
    Ok(vec![
        Figure::new(case(0), Metric::Seconds, alone).with(cost),
        Figure::new(case(FOLLOWERS), Metric::Seconds, followed),
        Figure::new(format!("{} / {}", case(FOLLOWERS), 0), Metric::Ratio, ratios),
    ])
}

/// One build of `lines`.
struct Round<'y> {
    yard: &'y Yard<'y>,
    build: usize,
    lines: usize,
}

impl Round<'_> {
    /// Returns how many seconds the job took to write while so many followers were stopped.
    fn run(&self, followers: usize) -> anyhow::Result<f64> {
        let (go, time) = (self.file("go"), self.file("time"));
        let [go, time] = [&go, &time].map(|path| path.display().to_string());
        let lines = self.lines.to_string();
        // One of them launches it; without any, it is launched by one that leaves.
        let launch = if followers == 0 { "submit" } else { "run" };
        let mut all = vec![self.follow(0, &[launch, "lines", &lines, &go, &time])?];
        self.wait_for_word(0)?;
        let logs = ["logs", &format!("lines#{}", self.build), "--follow"];
        for number in 1..followers {
            all.push(self.follow(number, &logs)?);
        }
        for number in 1..followers {
            self.wait_for_word(number)?;
        }
        all.iter().take(followers).try_for_each(Follower::stop)?;
        File::create(&go).context("say go")?;
        self.yard.when_idle()?;
        drop(all);
        Ok(read_number(&self.file("time"))? / 1e9)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.yard.path(&format!("{name}.{}", self.build))
    }

    fn output(&self, number: usize) -> PathBuf {
        self.file(&format!("follower{number}"))
    }

    fn follow(&self, number: usize, arguments: &[&str]) -> anyhow::Result<Follower> {
        let output = File::create(self.output(number)).context("make a follower's output")?;
        let mut command = Command::new(self.yard.changeport());
        command.args(arguments).env("CHANGEPORT_MASTER", self.yard.address());
        command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
        Ok(Follower(command.spawn().context("start a follower")?))
    }

    /// Waits until a client has printed a word: of the job, or the id of the build.
    fn wait_for_word(&self, number: usize) -> anyhow::Result<()> {
        let (path, begun) = (self.output(number), Instant::now());
        while path.metadata().context("look at a follower's output")?.len() == 0 {
            if begun.elapsed() > PATIENCE {
                bail!("follower {number} saw nothing");
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }
}

/// A client that is killed with this value.
struct Follower(Child);

impl Follower {
    fn stop(&self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.0), Signal::STOP).context("stop a follower")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // One that has ended by itself is waited for all the same.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
