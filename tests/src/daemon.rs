//! A running daemon: its process and its log.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::wait_until;

/// A daemon started by a test. Killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    name: &'static str,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Daemon {
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let stderr = child.stderr.take().expect("stderr is piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { name, child, lines, reader: Some(reader) }
    }

    /// Returns everything it logged so far.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Waits for a line that holds the text, and returns it.
    ///
    /// # Panics
    /// When the daemon ends before, or the line does not come; with its log.
    pub fn wait_for(&mut self, text: &str) -> String {
        let what = format!("`{text}` in the log of the {}", self.name);
        wait_until(&what, || {
            let found = {
                let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.iter().find(|line| line.contains(text)).cloned()
            };
            if found.is_none()
                && let Ok(Some(status)) = self.child.try_wait()
            {
                panic!("the {} ended with {status} before {what}:\n{}", self.name, self.log());
            }
            found
        })
    }

    /// Says whether it has logged a line that holds the text.
    pub fn has_said(&self, text: &str) -> bool {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().any(|line| line.contains(text))
    }

    /// Says whether its process has ended by itself.
    pub fn has_exited(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Returns its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("signal a daemon of ours");
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to end and returns its exit code and log.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(mut self) -> (i32, String) {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits until its process has ended and returns its exit code. What it started may still
    /// write to its log.
    ///
    /// # Panics
    /// When it does not end.
    pub fn exited(&mut self) -> i32 {
        let what = format!("the end of the {}", self.name);
        let status = wait_until(&what, || self.child.try_wait().ok().flatten());
        status.code().unwrap_or(-1)
    }

    /// Waits until it has ended by itself and returns its exit code and log.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ended(&mut self) -> (i32, String) {
        let code = self.exited();
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of a log does not panic");
        }
        (code, self.log())
    }

    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // It may end by itself in this very moment.
        let _gone_already = kill_process(self.pid(), Signal::KILL).is_err();
        self.child.wait().expect("a killed daemon ends");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            use std::io::Write as _;
            let report = format!("--- log of the {}:\n{}\n", self.name, self.log());
            std::io::stderr().write_all(report.as_bytes()).expect("somebody reads the report");
        }
    }
}
