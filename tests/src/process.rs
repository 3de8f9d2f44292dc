//! Short-lived processes, and waiting for what they cause.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Nothing that a test waits for takes longer on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(5);

/// How a process ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Returns the exit code; a signal is 128 and its number, as a shell shows it.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Returns stdout as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns stderr as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Runs a command to its end without input.
///
/// # Panics
/// When it cannot be started or does not end.
pub fn finish(command: &mut Command) -> Finished {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    finish_child(child)
}

/// Waits for a child that was started with its output piped.
///
/// # Panics
/// When it does not end.
pub(crate) fn finish_child(child: Child) -> Finished {
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, receiver) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(PATIENCE) else {
        let killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        panic!("process {pid:?} did not end within {PATIENCE:?} (killed: {killed:?})");
    };
    waiter.join().expect("the waiter does not panic").expect("the receiver waits");
    let output = output.expect("read from a child");
    Finished { status: output.status, stdout: output.stdout, stderr: output.stderr }
}

/// Waits until a condition that another process brings about holds.
///
/// # Panics
/// When it does not come to hold.
pub fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not come about within {PATIENCE:?}");
        std::thread::sleep(GLANCE);
    }
}
