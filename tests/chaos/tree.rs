//! The processes of a command, found by the mark that all of them carry.

use std::fs;
use std::time::{Duration, Instant};

/// Waits until no process of a command lives; says how long that took, or `None` where some live
/// on.
pub(crate) fn await_end(command: &str, patience: Duration) -> Option<Duration> {
    let begun = Instant::now();
    while lives(command) {
        if begun.elapsed() > patience {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(begun.elapsed())
}

fn lives(command: &str) -> bool {
    let mark = format!("YARDMASTER_COMMAND={command}");
    let mut processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.any(|process| {
        // Those of the dead, and of those that die while we look, are empty.
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    })
}
