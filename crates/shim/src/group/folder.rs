//! The directories of control groups. Source: the kernel's documents on cgroup v1 and v2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Version;

/// A process that has ended keeps its group for a moment.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(2);

pub(super) fn write(folder: &Path, file: &str, text: &str) -> io::Result<()> {
    // Not made where it is missing: the kernel makes these files.
    let mut file = fs::OpenOptions::new().write(true).open(folder.join(file))?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// Limits memory, and swap where it is counted, so that the limit is one.
pub(super) fn limit_memory(folder: &Path, version: Version, most: u64) -> io::Result<()> {
    let most = most.to_string();
    match version {
        Version::V1 => {
            write(folder, "memory.limit_in_bytes", &most)?;
            // Absent where swap is not counted.
            write(folder, "memory.memsw.limit_in_bytes", &most).ok();
        }
        Version::V2 => {
            write(folder, "memory.max", &most)?;
            write(folder, "memory.swap.max", "0").ok();
            // One process of a command killed leaves a command that is not whole.
            write(folder, "memory.oom.group", "1").ok();
        }
    }
    Ok(())
}

/// Returns how many processes were killed for want of memory, and the most that was used.
pub(super) fn memory_counted(folder: &Path, version: Version) -> (u64, Option<u64>) {
    let (events, peak) = match version {
        Version::V1 => ("memory.oom_control", "memory.max_usage_in_bytes"),
        Version::V2 => ("memory.events", "memory.peak"),
    };
    let peak = fs::read_to_string(folder.join(peak)).ok();
    let kills = count(&folder.join(events), "oom_kill");
    (kills, peak.and_then(|text| text.trim().parse().ok()))
}

/// Reads one number of a file of names and numbers; 0 where there is none.
pub(super) fn count(path: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(word, _)| *word == name);
    found.and_then(|(_, number)| number.trim().parse().ok()).unwrap_or_default()
}

/// Returns every process of a group and of the groups that its processes made in it.
pub(super) fn members(folder: &Path) -> Vec<i32> {
    let mut members = listed(folder);
    for below in groups_in(folder) {
        members.extend(self::members(&below));
    }
    members
}

fn listed(folder: &Path) -> Vec<i32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
}

fn groups_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    groups.map(|entry| entry.path()).collect()
}

/// Kills everything in a group: by one word where the kernel takes it, else one by one, while
/// nothing in it can run or fork.
pub(super) fn kill(folder: &Path, version: Version) {
    if version == Version::V2 && write(folder, "cgroup.kill", "1").is_ok() {
        return;
    }
    // Each is for a different hierarchy or kernel; what is not there is not needed.
    write(folder, "pids.max", "0").ok();
    write(folder, "freezer.state", "FROZEN").ok();
    write(folder, "cgroup.freeze", "1").ok();
    for pid in members(folder) {
        Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL).ok());
    }
    write(folder, "freezer.state", "THAWED").ok();
    write(folder, "cgroup.freeze", "0").ok();
}

/// Removes a group and those within; what is not there needs no removal.
pub(super) fn remove(folder: &Path) {
    for _ in 0..TRIES {
        for below in groups_in(folder) {
            remove(&below);
        }
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(PAUSE),
            // Removed, or never to be removed by us.
            Ok(()) | Err(_) => return,
        }
    }
}
