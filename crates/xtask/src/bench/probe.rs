//! Calls the probe: a small program that starts and times others (`crates/probe`).

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

/// One process that was run to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ran {
    /// Before it was executed, in ns on the monotonic clock.
    pub(super) begin_ns: f64,
    pub(super) end_ns: f64,
    pub(super) peak_rss_mb: f64,
    pub(super) cpu_s: f64,
}

impl Ran {
    pub(super) fn wall_ms(&self) -> f64 {
        (self.end_ns - self.begin_ns) / 1e6
    }
}

/// Runs a client `count` times, `width` at once. The master's address is in its environment.
pub(super) fn run(
    probe: &Path,
    address: &str,
    (count, width): (usize, usize),
    command: &[&str],
) -> anyhow::Result<Vec<Ran>> {
    let mut measure = Command::new(probe);
    measure.arg("run").arg(count.to_string()).arg(width.to_string()).args(command);
    let text = output(measure.env("CHANGEPORT_MASTER", address))?;
    let ran = |line: &str| {
        let [begin_ns, end_ns, kib, cpu_us] = numbers(line)?;
        let peak_rss_mb = kib * 1024.0 / 1e6;
        Ok(Ran { begin_ns, end_ns, peak_rss_mb, cpu_s: cpu_us / 1e6 })
    };
    text.lines().map(ran).collect()
}

/// Submits many launches of an app over one connection. Returns the seconds from the beginning
/// until the master knew the end of all.
pub(super) fn submit(
    probe: &Path,
    (change, control): (&Path, &Path),
    app: &str,
    count: usize,
) -> anyhow::Result<f64> {
    let mut measure = Command::new(probe);
    measure.arg("submit").arg(change).arg(control).arg(app).arg(count.to_string());
    let [begin_ns, _accepted_ns, end_ns] = numbers(&output(&mut measure)?)?;
    Ok((end_ns - begin_ns) / 1e9)
}

/// Submits many launches of an app that wait. Returns the seconds until all were accepted.
pub(super) fn fill(probe: &Path, change: &Path, app: &str, count: usize) -> anyhow::Result<f64> {
    let mut measure = Command::new(probe);
    measure.arg("fill").arg(change).arg(app).arg(count.to_string());
    let [begin_ns, accepted_ns] = numbers(&output(&mut measure)?)?;
    Ok((accepted_ns - begin_ns) / 1e9)
}

/// Launches `lines` so many times, each with so many lines. Returns the seconds from the beginning
/// until the master had all logs, sealed and readable by line.
pub(super) fn logs(
    probe: &Path,
    (change, control): (&Path, &Path),
    folder: &Path,
    (jobs, lines): (usize, usize),
) -> anyhow::Result<f64> {
    let mut measure = Command::new(probe);
    measure.arg("logs").arg(change).arg(control).arg(folder).arg("lines");
    measure.args([jobs, lines].map(|number| number.to_string()));
    let [begin_ns, end_ns] = numbers(&output(&mut measure)?)?;
    Ok((end_ns - begin_ns) / 1e9)
}

/// Workers of the probe that are attached.
#[derive(Debug)]
pub(super) struct Crowd {
    probe: Child,
    /// From before the first connection until the master had them all.
    pub(super) seconds: f64,
    /// How often one of them was turned away and came again.
    pub(super) tries_again: f64,
}

impl Crowd {
    /// Attaches a worker for each line of the file of secrets.
    pub(super) fn attach(
        probe: &Path,
        port: &str,
        (control, secrets): (&Path, &Path),
    ) -> anyhow::Result<Self> {
        let mut attach = Command::new(probe);
        attach.arg("attach").arg(port).arg(control).arg(secrets);
        attach.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut probe = attach.spawn().context("start the probe")?;
        let mut line = String::new();
        let told = BufReader::new(probe.stdout.as_mut().context("read the probe")?);
        told.take(1_024).read_line(&mut line).context("read the probe")?;
        let [begin_ns, end_ns, tries_again] = numbers(&line)?;
        Ok(Self { probe, seconds: (end_ns - begin_ns) / 1e9, tries_again })
    }

    /// Closes their connections.
    pub(super) fn leave(mut self) -> anyhow::Result<()> {
        drop(self.probe.stdin.take());
        let status = self.probe.wait().context("wait for the probe")?;
        if !status.success() {
            bail!("the probe ended with {status}");
        }
        Ok(())
    }
}

/// Waits until the master has nothing left to do, and returns that moment in ns.
pub(super) fn when_idle(probe: &Path, control: &Path) -> anyhow::Result<f64> {
    let [moment_ns] = numbers(&output(Command::new(probe).arg("idle").arg(control))?)?;
    Ok(moment_ns)
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().context("run the probe")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).context("read the probe")
}

/// Reads a line of numbers.
pub(super) fn numbers<const N: usize>(line: &str) -> anyhow::Result<[f64; N]> {
    let words = line.split_whitespace().map(str::parse);
    let numbers = words.collect::<Result<Vec<f64>, _>>().context("read the probe's numbers")?;
    numbers.try_into().map_err(|got| anyhow::anyhow!("{N} numbers were due, not {got:?}"))
}
