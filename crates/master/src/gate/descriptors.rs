//! The descriptors of the process: how many connections may have, and what happens without any.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{info, warn};

/// Before the next try where nobody could be turned away.
pub(super) const BREATH: Duration = Duration::from_millis(100);
/// Database, listeners and a few logs; a quarter of all where that is more, for a log is open for
/// each command that runs.
const KEPT: usize = 40;
/// Of those for connections, so many stay free for workers whatever clients do.
const FOR_WORKERS: usize = 64;
/// No master needs more, and programs it starts inherit the limit.
const ENOUGH: u64 = 65_536;
/// Waiting connections that are turned away in one go: as many as the kernel lets wait.
const QUEUE: usize = 1_024;

/// What all connections of the process share.
#[derive(Debug)]
pub struct Descriptors {
    all: Arc<Semaphore>,
    of_clients: Arc<Semaphore>,
}

/// What one listener may take.
#[derive(Debug, Clone)]
pub struct Share {
    all: Arc<Semaphore>,
    part: Option<Arc<Semaphore>>,
}

impl Descriptors {
    /// Raises this process's limit as far as it may be and divides it.
    pub fn of_this_process() -> Self {
        let limit = raise_limit();
        let (all, of_clients) = divide(limit);
        if all < FOR_WORKERS {
            info!(limit, connections = all, "few descriptors; see LimitNOFILE or ulimit -n");
        }
        Self {
            all: Arc::new(Semaphore::new(all)),
            of_clients: Arc::new(Semaphore::new(of_clients)),
        }
    }

    /// Returns the share of a listener for workers or administrators: all there is.
    pub fn whole(&self) -> Share {
        Share { all: self.all.clone(), part: None }
    }

    /// Returns the share of a listener for clients, which leaves something to the others.
    pub fn of_clients(&self) -> Share {
        Share { all: self.all.clone(), part: Some(self.of_clients.clone()) }
    }
}

/// Divides a limit: for all connections, and of these for clients.
fn divide(limit: usize) -> (usize, usize) {
    let all = limit.saturating_sub(KEPT.max(limit / 4)).clamp(1, Semaphore::MAX_PERMITS);
    let of_clients = all.saturating_sub(FOR_WORKERS.min(all / 4)).max(1);
    (all, of_clients)
}

fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let possible = maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    let mut limit = current.unwrap_or(ENOUGH);
    if limit < possible {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum }) {
            Ok(()) => limit = possible,
            Err(error) => warn!("raise the limit of descriptors from {limit}: {error}"),
        }
    }
    usize::try_from(limit).unwrap_or(usize::MAX)
}

impl Share {
    pub(super) fn take(&self) -> Option<Taken> {
        let of_all = self.all.clone().try_acquire_owned().ok()?;
        let of_part = match &self.part {
            Some(part) => Some(part.clone().try_acquire_owned().ok()?),
            None => None,
        };
        Some(Taken { _of_all: of_all, _of_part: of_part })
    }
}

/// A descriptor that is counted until this is dropped.
#[derive(Debug)]
pub struct Taken {
    _of_all: OwnedSemaphorePermit,
    _of_part: Option<OwnedSemaphorePermit>,
}

/// A descriptor kept in reserve, with which to turn people away when there is no other.
#[derive(Debug)]
pub(super) struct Spare {
    file: Option<File>,
}

impl Spare {
    pub(super) fn new() -> Self {
        Self { file: open() }
    }

    /// Accepts and drops whoever waits, and returns how many did. `accept` says whether there was
    /// one.
    pub(super) fn turn_away(&mut self, mut accept: impl FnMut() -> bool) -> usize {
        self.file = None;
        let count = (0..QUEUE).take_while(|_| accept()).count();
        self.file = open();
        count
    }
}

fn open() -> Option<File> {
    File::open("/dev/null").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_something_to_workers_and_all_to_the_daemon() {
        for (limit, all, of_clients) in
            [(64, 24, 18), (256, 192, 144), (1_024, 768, 704), (65_536, 49_152, 49_088)]
        {
            assert_eq!(divide(limit), (all, of_clients), "of {limit}");
        }
        assert_eq!(divide(0), (1, 1));
    }

    #[test]
    fn a_share_ends_and_what_is_dropped_is_free_again() {
        let all = Arc::new(Semaphore::new(2));
        let whole = Share { all: all.clone(), part: None };
        let part = Share { all, part: Some(Arc::new(Semaphore::new(1))) };
        let first = part.take().unwrap();
        assert!(part.take().is_none());
        let second = whole.take().unwrap();
        assert!(whole.take().is_none());
        drop((first, second));
        assert!(part.take().is_some());
    }
}
