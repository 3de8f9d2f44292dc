//! The clients of a run: each is a process, and each is remembered with what it was told.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use e2e::Yard;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::job::{App, Launch, Mode};

/// Clients that may be open before another one is started.
const MOST_OPEN: usize = 14;
const GLANCE: Duration = Duration::from_millis(5);

/// How much of what was expected came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Whole,
    /// The beginning, and nothing else.
    Beginning,
    Other,
}

impl Came {
    pub(crate) fn of(expected: &[u8], got: &[u8]) -> Self {
        if got == expected {
            Self::Whole
        } else if expected.starts_with(got) {
            Self::Beginning
        } else {
            Self::Other
        }
    }
}

/// What became of a caller.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) launch: Launch,
    /// `None` where it was killed, or made to leave.
    pub(crate) code: Option<i32>,
    /// The request it was given.
    pub(crate) request: Option<String>,
    /// Its stdout against the output of the job.
    pub(crate) out: Came,
    /// Why it ended so, in the launcher's words.
    pub(crate) words: String,
}

/// A client that runs.
#[derive(Debug)]
struct Caller {
    launch: Launch,
    child: Child,
    /// We killed it, or made it leave: what it says of its end does not count.
    is_excused: bool,
}

/// All clients of a run.
#[derive(Debug)]
pub(crate) struct Callers {
    folder: PathBuf,
    open: Vec<Caller>,
    pub(crate) told: Vec<Told>,
    /// How many of them we killed.
    pub(crate) killed: usize,
}

impl Callers {
    pub(crate) fn new(yard: &Yard) -> anyhow::Result<Self> {
        let folder = yard.path("callers");
        fs::create_dir_all(&folder).context("make a folder for callers")?;
        Ok(Self { folder, open: Vec::new(), told: Vec::new(), killed: 0 })
    }

    /// Starts a client, once there are not too many.
    pub(crate) fn start(&mut self, yard: &Yard, launch: Launch) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.open.len() >= MOST_OPEN && begun.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(GLANCE);
            self.reap()?;
        }
        if self.open.len() >= MOST_OPEN {
            // The run is ahead of its workers; this launch is left out.
            return Ok(());
        }
        let verb = match launch.mode {
            Mode::Follow => "run",
            Mode::Detach => "submit",
        };
        let file = |end: &str| self.file(launch.job.id, end);
        let mut command = yard.changeport_command();
        command.args([verb, launch.app.name(), &launch.job.to_string()]);
        command.env("CHANGEPORT_STATUS", file("status")).stdin(Stdio::null());
        command.stdout(File::create(file("out")).context("make a file for a caller")?);
        command.stderr(File::create(file("err")).context("make a file for a caller")?);
        let child = command.spawn().context("start a client")?;
        self.open.push(Caller { launch, child, is_excused: false });
        Ok(())
    }

    fn file(&self, id: u64, end: &str) -> PathBuf {
        self.folder.join(format!("{id}.{end}"))
    }

    /// Takes note of every client that has ended.
    pub(crate) fn reap(&mut self) -> anyhow::Result<()> {
        for mut caller in std::mem::take(&mut self.open) {
            match caller.child.try_wait().context("look after a client")? {
                None => self.open.push(caller),
                Some(status) => {
                    let code = status.code().filter(|_| !caller.is_excused);
                    self.note(caller.launch, code)?;
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, launch: Launch, code: Option<i32>) -> anyhow::Result<()> {
        let file = |end: &str| self.file(launch.job.id, end);
        let out = fs::read(file("out")).context("read what a caller got")?;
        let status = fs::read(file("status")).unwrap_or_default();
        let status: Value = serde_json::from_slice(&status).unwrap_or_default();
        for end in ["out", "err", "status"] {
            // A client that was killed wrote no status.
            drop(fs::remove_file(file(end)));
        }
        let came = match launch.mode {
            Mode::Follow => Came::of(&launch.job.out(), &out),
            Mode::Detach => Came::Beginning,
        };
        let request = status["request"].as_str().map(str::to_owned);
        let words = status["reason"].as_str().unwrap_or("no reason").to_owned();
        self.told.push(Told { launch, code, request, out: came, words });
        Ok(())
    }

    /// Returns the clients that run, oldest first.
    pub(crate) fn open(&self) -> Vec<Pid> {
        self.open.iter().map(|caller| Pid::from_child(&caller.child)).collect()
    }

    /// Returns those with which their commands end, oldest first.
    pub(crate) fn attended(&self) -> Vec<Pid> {
        let attended = self.open.iter().filter(|caller| {
            caller.launch.app == App::Attended && caller.launch.mode == Mode::Follow
        });
        attended.map(|caller| Pid::from_child(&caller.child)).collect()
    }

    /// Kills one of them.
    pub(crate) fn kill(&mut self, pid: Pid) {
        self.send(pid, Signal::KILL);
    }

    /// Makes one of them leave, as Ctrl-C does.
    pub(crate) fn interrupt(&mut self, pid: Pid) {
        self.send(pid, Signal::INT);
    }

    fn send(&mut self, pid: Pid, signal: Signal) {
        let caller = self.open.iter_mut().find(|caller| Pid::from_child(&caller.child) == pid);
        if let Some(caller) = caller {
            // It is a child of ours that was not reaped, so the number is still its own.
            caller.is_excused |= kill_process(pid, signal).is_ok();
            self.killed += usize::from(signal == Signal::KILL);
        }
    }

    /// Waits for all of them; says whether they ended.
    pub(crate) fn finish(&mut self, patience: Duration) -> anyhow::Result<bool> {
        let begun = Instant::now();
        loop {
            self.reap()?;
            if self.open.is_empty() {
                return Ok(true);
            }
            if begun.elapsed() > patience {
                return Ok(false);
            }
            std::thread::sleep(GLANCE);
        }
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        for caller in &mut self.open {
            // They may end by themselves in this moment.
            drop(caller.child.kill());
            drop(caller.child.wait());
        }
    }
}
