//! Holds processes while something happens to their disk.
//!
//! ext4 lets a sync that is under way succeed although it is shut down in that moment. A machine
//! whose power fails tells nobody of such a success, so nobody may be within a sync then.

use std::fs;

use e2e::wait_until;
use rustix::process::{Pid, Signal, kill_process};

/// Does something while all of these stand still; `list` is asked until nobody is added.
pub(crate) fn frozen(list: impl Fn() -> Vec<Pid>, act: impl FnOnce()) {
    wait_until("processes that stand still", || {
        let living = list();
        for pid in &living {
            // It may be gone by now.
            let _is_gone = kill_process(*pid, Signal::STOP).is_err();
        }
        (living == list() && living.iter().all(|pid| stands_still(*pid))).then_some(())
    });
    act();
    for pid in list() {
        let _is_gone = kill_process(pid, Signal::CONT).is_err();
    }
}

/// Says whether every thread is stopped, or has ended.
fn stands_still(pid: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    threads.into_iter().flatten().flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
        state.is_none_or(|state| matches!(state, 'T' | 't' | 'Z' | 'X'))
    })
}
