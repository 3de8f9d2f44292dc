//! A daemon that a task starts: it logs to a file, is waited for by its log, and never outlives
//! the task.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

const GLANCE: Duration = Duration::from_millis(10);
const TO_START: Duration = Duration::from_secs(20);
const TO_STOP: Duration = Duration::from_secs(10);

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it in a process group of its own, so that a Ctrl-C is ours to pass on.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let file = File::create(log).with_context(|| format!("make {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start the {name}"))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// Waits until its log holds the text.
    pub(crate) fn wait_for(&mut self, text: &str) -> anyhow::Result<String> {
        self.wait_for_with(text, |length| {
            std::thread::sleep(length);
            Ok(())
        })
    }

    /// Waits until its log holds the text, by pauses that may fail.
    pub(crate) fn wait_for_with(
        &mut self,
        text: &str,
        mut pause: impl FnMut(Duration) -> anyhow::Result<()>,
    ) -> anyhow::Result<String> {
        let begun = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            if let Some(status) = self.child.try_wait().context("look after a daemon")? {
                bail!("the {} ended with {status}:\n{log}", self.name);
            }
            if begun.elapsed() > TO_START {
                bail!("the {} did not say `{text}`:\n{log}", self.name);
            }
            pause(GLANCE)?;
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Asks it to end and waits for it.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        if self.child.try_wait().context("look after a daemon")?.is_none() {
            kill_process(self.pid(), Signal::TERM).context("stop a daemon")?;
        }
        let begun = Instant::now();
        while self.child.try_wait().context("look after a daemon")?.is_none() {
            if begun.elapsed() > TO_STOP {
                bail!("the {} did not stop within {TO_STOP:?} and is killed", self.name);
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Whether it just ended by itself or was killed here, it is gone after the wait.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
