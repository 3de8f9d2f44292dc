//! The program under test as a process.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::master::{Yard, wait_for};

const PROGRAM: &str = env!("CARGO_BIN_EXE_changeport");
const PATIENCE: Duration = Duration::from_secs(20);

/// How the program ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Finished {
    status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Finished {
    /// Returns the exit code, or `None` for a death by signal.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8(self.stderr.clone()).unwrap()
    }
}

impl Yard {
    /// Returns the client under the name of an app.
    pub(crate) fn launcher(&self, app: impl AsRef<OsStr>) -> Command {
        let link = self.path("").join(app.as_ref());
        std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
        self.prepare(Command::new(link))
    }

    /// Returns the client under its own name.
    pub(crate) fn changeport(&self, arguments: &[&str]) -> Command {
        let mut command = self.prepare(Command::new(PROGRAM));
        command.args(arguments);
        command
    }

    /// Gives a command the environment of this yard.
    pub(crate) fn prepare(&self, mut command: Command) -> Command {
        command.env_clear().current_dir(self.path(""));
        command.env("CHANGEPORT_MASTER", format!("unix:{}", self.path("change.sock").display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// A client that runs; what it writes is not read before somebody asks.
pub(crate) struct Client {
    child: Option<Child>,
    /// What was read of its stderr.
    said: Vec<u8>,
}

/// Starts a client.
pub(crate) fn start(command: &mut Command) -> Client {
    Client { child: Some(command.spawn().unwrap()), said: Vec::new() }
}

/// Runs a client to its end.
pub(crate) fn finish(command: &mut Command) -> Finished {
    start(command).finish()
}

impl Client {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("it runs"))
    }

    /// Waits for the next line on its stderr.
    pub(crate) fn hears(&mut self) -> String {
        let stderr = self.child.as_mut().expect("it runs").stderr.as_mut().expect("it is piped");
        let begin = self.said.len();
        while self.said.last() != Some(&b'\n') || self.said.len() == begin {
            wait_for(stderr);
            let mut byte = [0];
            stderr.read_exact(&mut byte).unwrap();
            self.said.extend(byte);
        }
        String::from_utf8(self.said[begin..].to_vec()).unwrap()
    }

    /// Closes our end of its stdout.
    pub(crate) fn close_stdout(&mut self) {
        drop(self.child.as_mut().expect("it runs").stdout.take());
    }

    /// Reads its stdout and stderr from now on and waits for its end.
    pub(crate) fn finish(mut self) -> Finished {
        let mut child = self.child.take().expect("it runs");
        let pid = Pid::from_child(&child);
        let (stdout, stderr) = (read_all(child.stdout.take()), read_all(child.stderr.take()));
        let (sender, receiver) = mpsc::channel();
        let waiter = std::thread::spawn(move || sender.send(child.wait()));
        let Ok(status) = receiver.recv_timeout(PATIENCE) else {
            let killed = kill_process(pid, Signal::KILL);
            panic!("the client did not end within {PATIENCE:?} (killed: {killed:?})");
        };
        waiter.join().unwrap().unwrap();
        let (stdout, rest) = (stdout.join().unwrap(), stderr.join().unwrap());
        let stderr = [std::mem::take(&mut self.said), rest].concat();
        Finished { status: status.unwrap(), stdout, stderr }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn read_all(from: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            from.read_to_end(&mut bytes).unwrap();
        }
        bytes
    })
}
