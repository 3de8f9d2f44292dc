//! What a yard looks like while nothing happens in it, before a run and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2e::{Yard, groups_of};
use rustix::process::Pid;

use crate::fleet::Fleet;

/// Threads of blocking work end when they were idle for ten seconds; one is kept, and not always the
/// same.
const PATIENCE: Duration = Duration::from_secs(25);
const GLANCE: Duration = Duration::from_millis(50);
/// A master opens connections to its database, two descriptors and a thread each, as it is asked
/// more at a time.
const READERS: usize = 4;

/// The size of everything that runs.
#[derive(Debug)]
pub(crate) struct Baseline {
    daemons: Vec<Size>,
    processes: usize,
}

/// The size of a daemon.
#[derive(Debug)]
struct Size {
    name: String,
    /// What they are, in order.
    descriptors: Vec<PathBuf>,
    threads: usize,
}

impl Baseline {
    /// Measures a yard in which nothing happens.
    pub(crate) fn take(fleet: &Fleet) -> Self {
        let daemons = fleet.daemons().into_iter().map(|(name, pid)| Size::of(name, pid)).collect();
        Self { daemons, processes: fleet.yard.processes().len() }
    }

    /// Says what there is in a yard that was not there at first, once that does not change any
    /// more.
    pub(crate) fn left_in(&self, fleet: &Fleet) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let left = self.compare(fleet);
            if left.is_empty() || begun.elapsed() > PATIENCE {
                return left;
            }
            std::thread::sleep(GLANCE);
        }
    }

    fn compare(&self, fleet: &Fleet) -> Vec<String> {
        let now = Self::take(fleet);
        let mut left = Vec::new();
        for (before, now) in self.daemons.iter().zip(&now.daemons) {
            left.extend(before.growth(now));
        }
        if now.processes > self.processes {
            left.push(format!("{} processes, {} at first", now.processes, self.processes));
        }
        for (name, pid) in fleet.daemons() {
            let zombies = zombies_of(pid);
            if zombies > 0 {
                left.push(format!("{zombies} zombies of {name}"));
            }
        }
        left.extend(groups(&fleet.yard).iter().map(|group| format!("{} is left", group.display())));
        left.extend(strays(&fleet.yard).iter().map(|file| format!("{} is left", file.display())));
        left
    }
}

impl Size {
    fn of(name: String, pid: Pid) -> Self {
        let list = |folder: &str| {
            let folder = format!("/proc/{}/{folder}", pid.as_raw_nonzero());
            fs::read_dir(folder).into_iter().flatten().flatten()
        };
        let descriptors = list("fd").filter_map(|entry| fs::read_link(entry.path()).ok());
        let mut descriptors: Vec<PathBuf> = descriptors.filter(|file| !is_ahead(file)).collect();
        descriptors.sort();
        Self { name, descriptors, threads: list("task").count() }
    }

    fn growth(&self, now: &Self) -> Option<String> {
        let readers = if self.name == "master" { READERS } else { 0 };
        let is_grown = now.descriptors.len() > self.descriptors.len() + 2 * readers
            || now.threads > self.threads + readers;
        is_grown.then(|| {
            format!(
                "{}: {} descriptors and {} threads, {} and {} at first; they are {:?}",
                self.name,
                now.descriptors.len(),
                now.threads,
                self.descriptors.len(),
                self.threads,
                now.descriptors
            )
        })
    }
}

/// Says whether it belongs to a directory that a worker made ahead of a command: it has a few.
fn is_ahead(file: &Path) -> bool {
    let mut names = file.iter().map(|name| name.to_string_lossy());
    names.any(|name| name.starts_with("ready-"))
}

fn zombies_of(parent: Pid) -> usize {
    let pid = parent.as_raw_nonzero();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.flat_map(|task| {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    });
    children.filter(|child| is_zombie(child)).count()
}

fn is_zombie(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('Z'))
}

/// Control groups of commands that this yard's master ever started.
pub(crate) fn groups(yard: &Yard) -> Vec<PathBuf> {
    let logs = fs::read_dir(yard.path("master/logs")).into_iter().flatten().flatten();
    let names = logs.filter_map(|log| log.file_name().into_string().ok());
    // An id begins with what is drawn once for a database.
    let drawn: BTreeSet<String> =
        names.filter_map(|name| Some(name.get(..16)?.to_owned())).collect();
    drawn.iter().flat_map(|drawn| groups_of(drawn)).collect()
}

/// Files that only belong to work that goes on.
fn strays(yard: &Yard) -> Vec<PathBuf> {
    let folders = ["master", "master/logs", "w1/spool", "w2/spool", "w3/spool"];
    let files = folders.iter().flat_map(|folder| {
        let entries = fs::read_dir(yard.path(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    });
    files.filter(|file| is_stray(file)).collect()
}

fn is_stray(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "tmp" || extension == "log")
}
