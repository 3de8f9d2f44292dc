//! Kills what is left of a command whose supervisor was killed.
//!
//! Four ways lead to its processes: its control group, its session, the mark in its environment,
//! and the spawner, which inherits the orphans of the supervisors it made.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::group::{Group, GroupOrder};
use crate::id::CommandId;
use crate::inspect::{Process, Started};
use crate::sys::{boot_id, start_time, stat_field};

/// The variable by which a command's processes are known.
const MARK: &str = "YARDMASTER_COMMAND=";
const PATIENCE: Duration = Duration::from_secs(4);

/// The result of a sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    pub killed: usize,
    /// Still there after five seconds.
    pub survivors: Vec<i32>,
}

/// Kills every process of the command. Takes up to five seconds where something does not die.
pub(crate) fn sweep(
    command: CommandId,
    started: Option<&Started>,
    group: Option<&GroupOrder>,
) -> Swept {
    let group = group.map(Group::of);
    let traces = Traces::new(command, started);
    let since = Instant::now();
    let mut swept = Swept::default();
    loop {
        let mut left = group.as_ref().map(Group::members).unwrap_or_default();
        if let Some(group) = &group {
            swept.killed += left.len();
            group.kill();
        }
        for pid in processes().filter(|pid| traces.lead_to(*pid)) {
            // At once: one that makes its successor and ends is overtaken in order of numbers.
            kill(pid, &mut swept);
            left.push(pid);
        }
        let orphans = traces.orphans();
        for pid in orphans.found {
            kill(pid, &mut swept);
            left.push(pid);
        }
        let is_over = left.is_empty() && orphans.vanished == 0;
        swept.survivors = left;
        if is_over {
            if let Some(group) = &group {
                group.remove();
            }
            return swept;
        }
        if since.elapsed() > PATIENCE {
            return swept;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn kill(pid: i32, swept: &mut Swept) {
    let killed = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
    swept.killed += usize::from(matches!(killed, Some(Ok(()))));
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What a command's processes are known by.
struct Traces {
    mark: String,
    session: Option<i32>,
    spawner: Option<Spawner>,
}

/// The spawner that made the supervisor, if it is still there. Its children are supervisors, and
/// orphans of supervisors that were killed.
struct Spawner {
    pid: i32,
    program: PathBuf,
}

/// What the spawner inherited.
#[derive(Default)]
struct Orphans {
    found: Vec<i32>,
    /// Ended while it was looked at: something may follow.
    vanished: usize,
}

impl Traces {
    fn new(command: CommandId, started: Option<&Started>) -> Self {
        // A session that was left to others must not be taken for the command's.
        let session = started
            .filter(|started| start_time(started.pid).is_none_or(|time| time == started.start_time))
            .map(|started| started.pid);
        let started = started.filter(|started| started.boot_id == boot_id());
        let spawner = started.and_then(|started| started.spawner).filter(|it| it.is_alive());
        let spawner = spawner
            .and_then(|Process { pid, .. }| Some(Spawner { pid, program: program_of(pid)? }));
        Self { mark: format!("{MARK}{command}"), session, spawner }
    }

    fn lead_to(&self, pid: i32) -> bool {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
        let number = |field| stat_field(&stat, field).and_then(|text| text.parse::<i32>().ok());
        if stat_field(&stat, 3) == Some("Z") {
            return false;
        }
        self.session.is_some_and(|session| number(6) == Some(session)) || self.is_marked(pid)
    }

    /// Looks through the children of the spawner. The kernel hands an orphan over before it lets
    /// go of the parent, so one of a line that goes on is always in the list.
    fn orphans(&self) -> Orphans {
        let mut orphans = Orphans::default();
        let Some(Spawner { pid, program }) = &self.spawner else { return orphans };
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        for child in children.split_whitespace().filter_map(|word| word.parse().ok()) {
            match fs::read_link(format!("/proc/{child}/exe")) {
                Ok(its) if its == *program => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => orphans.vanished += 1,
                Ok(_) | Err(_) => orphans.found.push(child),
            }
        }
        orphans
    }

    fn is_marked(&self, pid: i32) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == self.mark.as_bytes())
    }
}

fn program_of(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}
