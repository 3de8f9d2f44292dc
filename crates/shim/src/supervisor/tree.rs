//! Ends everything a command left behind.
//!
//! The supervisor is a subreaper: whatever its descendants do, they end up as its children, so
//! "no children left" means that the tree is gone.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

use crate::sys::boot_us;

/// After this long without success the remainder is reported.
const PATIENCE_US: i64 = 5_000_000;
const PAUSE: Duration = Duration::from_millis(1);

/// What became of the tree.
pub(super) struct Ended {
    pub(super) killed: usize,
    pub(super) survivors: Vec<i32>,
}

/// Kills and reaps until no descendant is left. The main process was reaped before.
pub(super) fn end(main: Pid) -> Ended {
    let mut ended = Ended { killed: 0, survivors: Vec::new() };
    if reap() == Left::Nothing {
        return ended;
    }
    let since = boot_us();
    let mut seen = BTreeSet::new();
    loop {
        // The group of the main process may be gone; then there is nothing to kill in it.
        kill_process_group(main, Signal::KILL).ok();
        let left = descendants();
        for pid in left.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            kill_process(pid, Signal::KILL).ok();
        }
        seen.extend(left.iter().copied());
        ended.killed = seen.len();
        if reap() == Left::Nothing {
            return ended;
        }
        if boot_us() - since > PATIENCE_US {
            ended.survivors = descendants();
            return ended;
        }
        std::thread::sleep(PAUSE);
    }
}

#[derive(PartialEq, Eq)]
enum Left {
    Nothing,
    Something,
}

/// Reaps what has ended.
fn reap() -> Left {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return Left::Something,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Left::Nothing,
        }
    }
}

/// Returns every living descendant of this process.
fn descendants() -> Vec<i32> {
    let mut found = Vec::new();
    let mut open = vec![rustix::process::getpid().as_raw_nonzero().get()];
    while let Some(pid) = open.pop() {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        for child in children.split_whitespace().filter_map(|word| word.parse().ok()) {
            found.push(child);
            open.push(child);
        }
    }
    found
}
