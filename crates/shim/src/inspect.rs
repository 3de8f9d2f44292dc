//! What became of a command, read from its directory.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::exit::Exit;
use crate::spec::Spec;
use crate::spool::{EXIT, INTENT, LOCK, SPEC, STARTED};
use crate::sys::{boot_id, start_time};

/// The process that was let run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    pub pid: i32,
    /// In clock ticks since boot; tells a process from a later one with the same number.
    pub start_time: u64,
    pub boot_id: String,
    /// The spawner that forked the supervisor: it inherits what a killed supervisor leaves.
    pub spawner: Option<Process>,
}

/// A process, told from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    /// In clock ticks since boot.
    pub start_time: u64,
}

impl Process {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, start_time: start_time(pid)? })
    }

    pub(crate) fn is_alive(self) -> bool {
        start_time(self.pid) == Some(self.start_time)
    }
}

/// What a directory says. Torn files count as "it may have run".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No spec, no intent, or a gate that never opened: it provably never ran.
    NeverRan,
    /// Its supervisor holds the lock.
    Alive,
    /// The supervisor is gone and left no exit; what is left of the tree has to be killed.
    SupervisorLost { started: Option<Started> },
    /// The machine was restarted in between.
    Rebooted,
    /// The outcome is known for ever.
    Exited(Exit),
}

pub(crate) fn inspect(directory: &Path) -> io::Result<Found> {
    let is_free = lock_is_free(&directory.join(LOCK))?;
    if let Some(exit) = read(&directory.join(EXIT))?.as_deref().and_then(Exit::from_file) {
        return Ok(Found::Exited(exit));
    }
    if !is_free {
        return Ok(Found::Alive);
    }
    let spec = read(&directory.join(SPEC))?;
    let intent = read(&directory.join(INTENT))?;
    let Some(started) = read(&directory.join(STARTED))? else {
        return Ok(match (spec, intent) {
            // A spec that cannot be read was torn by a power cut, after which the order of the
            // files is not known.
            (Some(spec), None) if Spec::from_file(&spec).is_none() => Found::Rebooted,
            (_, Some(intent)) if intent != boot_id().as_bytes() => Found::Rebooted,
            (_, _) => Found::NeverRan,
        });
    };
    let started = parse_started(&started);
    Ok(match started {
        Some(started) if started.boot_id != boot_id() => Found::Rebooted,
        started => Found::SupervisorLost { started },
    })
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn lock_is_free(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    // Shared: two who look at once do not take each other for the supervisor.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn format_started(started: &Started) -> String {
    let mut text = format!("{} {} {}", started.pid, started.start_time, started.boot_id);
    if let Some(Process { pid, start_time }) = started.spawner {
        text = format!("{text} {pid} {start_time}");
    }
    text.push('\n');
    text
}

pub(crate) fn parse_started(bytes: &[u8]) -> Option<Started> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut words = text.strip_suffix('\n')?.split(' ');
    let pid = words.next()?.parse().ok()?;
    let start_time = words.next()?.parse().ok()?;
    let boot_id = words.next()?.to_owned();
    let mut number = || words.next()?.parse::<u64>().ok();
    let spawner = number().and_then(|pid| Some((i32::try_from(pid).ok()?, number()?)));
    let spawner = spawner.map(|(pid, start_time)| Process { pid, start_time });
    Some(Started { pid, start_time, boot_id, spawner })
}
