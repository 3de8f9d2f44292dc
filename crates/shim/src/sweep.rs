//! Kills what is left of a command whose supervisor was killed.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::id::CommandId;
use crate::inspect::Started;
use crate::sys::{start_time, stat_field};

/// The variable by which a command's processes are known.
const MARK: &str = "YARDMASTER_COMMAND=";
const PATIENCE: Duration = Duration::from_secs(5);

/// The result of a sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    pub killed: usize,
    /// Still there after five seconds.
    pub survivors: Vec<i32>,
}

/// Kills every process of the command: its session, and whatever carries its mark. Takes up to
/// five seconds where something does not die.
pub fn sweep(command: CommandId, started: Option<&Started>) -> Swept {
    let mark = format!("{MARK}{command}");
    let session = started
        .filter(|started| start_time(started.pid).is_none_or(|time| time == started.start_time))
        .map(|started| started.pid);
    let since = Instant::now();
    let mut swept = Swept::default();
    loop {
        let left: Vec<i32> = processes().filter(|pid| belongs(*pid, session, &mark)).collect();
        if left.is_empty() {
            swept.survivors.clear();
            return swept;
        }
        for pid in &left {
            let killed = Pid::from_raw(*pid).map(|pid| kill_process(pid, Signal::KILL));
            swept.killed += usize::from(matches!(killed, Some(Ok(()))));
        }
        swept.survivors = left;
        if since.elapsed() > PATIENCE {
            return swept;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn belongs(pid: i32, session: Option<i32>, mark: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let is_zombie = stat_field(&stat, 3) == Some("Z");
    if is_zombie {
        return false;
    }
    let its_session = stat_field(&stat, 6).and_then(|field| field.parse::<i32>().ok());
    if session.is_some() && its_session == session {
        return true;
    }
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}
