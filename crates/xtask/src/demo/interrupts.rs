//! The signals that end a demo. Every wait of the demo is one here, so that none is slept
//! through and what was started is always stopped.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal as Number, kill_process};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

const GLANCE: Duration = Duration::from_millis(10);

/// The demo was told to end before everything was shown.
#[derive(Debug)]
pub(super) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted before everything was shown")
    }
}

impl std::error::Error for Interrupted {}

/// SIGINT, SIGTERM and SIGHUP, which no longer end this process by themselves.
#[derive(Debug)]
pub(super) struct Interrupts {
    runtime: Runtime,
    signals: [Signal; 3],
}

impl Interrupts {
    /// Listens from now on.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start a runtime for signals")?;
        let entered = runtime.enter();
        let on = |kind| signal(kind).context("listen for signals");
        let signals =
            [on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?];
        drop(entered);
        Ok(Self { runtime, signals })
    }

    /// Waits for a signal.
    pub(super) fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        self.runtime.block_on(async {
            // All branches are cancel-safe.
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
    }

    /// Pauses for a while; fails at once after a signal.
    pub(super) fn pause(&mut self, length: Duration) -> Result<(), Interrupted> {
        let [interrupt, terminate, hangup] = &mut self.signals;
        self.runtime.block_on(async {
            // All branches are cancel-safe.
            tokio::select! {
                _ = interrupt.recv() => Err(Interrupted),
                _ = terminate.recv() => Err(Interrupted),
                _ = hangup.recv() => Err(Interrupted),
                () = tokio::time::sleep(length) => Ok(()),
            }
        })
    }

    /// Runs a program to its end, or to that of the demo.
    pub(super) fn output(&mut self, command: &mut Command) -> anyhow::Result<Output> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let pid = Pid::from_child(&child);
        let (sender, receiver) = channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        loop {
            match receiver.recv_timeout(Duration::ZERO) {
                Ok(output) => return output.context("read from a program"),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("nobody waits for a program"),
            }
            if let Err(interrupted) = self.pause(GLANCE) {
                // It may have ended in this very moment.
                let _gone_already = kill_process(pid, Number::KILL).is_err();
                drop(receiver.recv());
                return Err(interrupted.into());
            }
        }
    }
}
