//! Ends everything a command left behind.
//!
//! The supervisor is a subreaper: whatever its descendants do, they end up as its children, so
//! "no children left" means that the tree is gone. The control group, where there is one, knows
//! the same without a race, and those who were put into it from outside.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

use crate::group::Group;
use crate::sys::boot_us;

/// How hard it is tried.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// After so long without success the remainder is reported.
    patience_us: i64,
    pause: Duration,
}

/// When the main process has just ended.
pub(super) const AT_ONCE: Pace = Pace { patience_us: 4_000_000, pause: Duration::from_millis(1) };
/// When it is known that something does not die.
pub(super) const LATER: Pace = Pace { patience_us: 200_000, pause: Duration::from_millis(50) };

/// What became of the tree.
pub(super) struct Ended {
    pub(super) killed: usize,
    pub(super) survivors: Vec<i32>,
}

/// Kills and reaps until nothing is left. The main process was reaped before.
pub(super) fn end(main: Pid, group: Option<&Group<'_>>, pace: Pace) -> Ended {
    let mut ended = Ended { killed: 0, survivors: Vec::new() };
    if is_gone(group) {
        return ended;
    }
    let since = boot_us();
    let mut seen = BTreeSet::new();
    loop {
        // The group of the main process may be gone; then there is nothing to kill in it.
        kill_process_group(main, Signal::KILL).ok();
        let left = halt(group);
        if let Some(group) = group {
            group.kill();
        }
        signal(&left, Signal::KILL);
        seen.extend(left);
        ended.killed = seen.len();
        if is_gone(group) {
            return ended;
        }
        if boot_us() - since > pace.patience_us {
            ended.survivors = everything(group).into_iter().collect();
            return ended;
        }
        std::thread::sleep(pace.pause);
    }
}

/// Looks so often for processes that were made meanwhile, at most.
const LOOKS: usize = 64;

/// Stops everything and returns it. What is stopped does not fork, so a look that finds nothing
/// new has found all; one that forks faster than it is found meets the next round.
fn halt(group: Option<&Group<'_>>) -> BTreeSet<i32> {
    let mut halted = BTreeSet::new();
    for _ in 0..LOOKS {
        let fresh: BTreeSet<i32> = everything(group).difference(&halted).copied().collect();
        if fresh.is_empty() {
            break;
        }
        signal(&fresh, Signal::STOP);
        halted.extend(fresh);
    }
    halted
}

fn signal(pids: &BTreeSet<i32>, signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // It may have ended just now.
        kill_process(pid, signal).ok();
    }
}

/// Reaps what has ended, and says whether nothing is left.
fn is_gone(group: Option<&Group<'_>>) -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return group.is_none_or(|group| group.members().is_empty()),
        }
    }
}

/// Returns every living descendant of this process, and every member of the group.
fn everything(group: Option<&Group<'_>>) -> BTreeSet<i32> {
    let mut found: BTreeSet<i32> = group.map(Group::members).into_iter().flatten().collect();
    let mut open = vec![rustix::process::getpid().as_raw_nonzero().get()];
    while let Some(pid) = open.pop() {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        for child in children.split_whitespace().filter_map(|word| word.parse().ok()) {
            found.insert(child);
            open.push(child);
        }
    }
    found
}
