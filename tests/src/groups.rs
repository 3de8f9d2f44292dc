//! Control groups that commands of a yard have or left.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::wait_until;

const HIERARCHIES: &str = "/sys/fs/cgroup";
const PREFIX: &str = "yardmaster-";
/// Groups lie in the one of their worker; nothing of ours is deeper than that.
const DEEPEST: usize = 8;

/// Returns the control groups of commands whose ids begin so.
pub fn groups_of(ids: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    look(Path::new(HIERARCHIES), &format!("{PREFIX}{ids}"), DEEPEST, &mut found);
    found
}

fn look(folder: &Path, name: &str, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().starts_with(name) {
            found.push(entry.path());
        } else if depth > 0 {
            look(&entry.path(), name, depth - 1, found);
        }
    }
}

/// Removes the groups of commands that a yard whose processes were killed still has in a spool.
pub(crate) fn remove_groups(yard: &Path) {
    for id in spooled(yard) {
        groups_of(&id).iter().for_each(|group| remove_group(group));
    }
}

/// Removes a group once the last of its processes is gone.
///
/// # Panics
/// When they do not go.
pub fn remove_group(group: &Path) {
    wait_until("the end of a control group", || match fs::remove_dir(group) {
        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => None,
        Ok(()) | Err(_) => Some(()),
    });
}

fn spooled(yard: &Path) -> Vec<String> {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let spools = list(yard).map(|entry| entry.path().join("spool"));
    let entries = spools.flat_map(|spool| list(&spool).collect::<Vec<_>>());
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.len() == 32).collect()
}
