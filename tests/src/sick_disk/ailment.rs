//! What is wrong with a disk, and what it forgets because of it.
//!
//! A sync that fails leaves pages in memory that are not on the disk, and that the kernel takes for
//! clean: the next sync says that all is well. `Memory` knows what such pages were on the disk, and
//! they are that again once the kernel has let go of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A part of what a daemon keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Database,
    Logs,
    Spool,
}

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Read,
    Write,
    Sync,
    /// A new name: a file or folder that is made, linked or renamed.
    Name,
}

/// From now on these fail, so many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ailment {
    pub part: Part,
    pub deed: Deed,
    pub times: u32,
}

impl Part {
    /// Says whether a file belongs to it, by its path from the daemon's folder.
    pub(super) fn holds(self, path: &Path) -> bool {
        let Some(first) = path.components().next() else { return false };
        let first = first.as_os_str().to_string_lossy();
        match self {
            // Its shared memory is not for the disk.
            Self::Database => first.starts_with("state.db") && !first.ends_with("-shm"),
            Self::Logs => first == "logs",
            Self::Spool => first == "spool",
        }
    }
}

const PAGE: u64 = 4096;
type Pages = BTreeMap<u64, Vec<u8>>;

/// What pages of a file are on the disk, where that is something else than what is read.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Written, and not synced yet.
    unsynced: Pages,
    /// A sync of them has failed.
    doomed: Pages,
}

impl Memory {
    /// Bytes are about to be written.
    pub(super) fn before_write(&mut self, file: &File, offset: u64, length: usize) {
        let last = (offset + length as u64).saturating_sub(1) / PAGE;
        for page in offset / PAGE..=last {
            // What is written once more is to be synced once more.
            let kept = self.doomed.remove(&page);
            self.unsynced.entry(page).or_insert_with(|| kept.unwrap_or_else(|| read(file, page)));
        }
    }

    pub(super) fn before_truncate(&mut self, length: u64) {
        for pages in [&mut self.unsynced, &mut self.doomed] {
            pages.retain(|page, _| page * PAGE < length);
        }
    }

    pub(super) fn synced(&mut self) {
        self.unsynced.clear();
    }

    pub(super) fn failed(&mut self) {
        self.doomed.append(&mut self.unsynced);
    }

    /// Lets the file be what it is on the disk. Returns how many pages were another thing.
    pub(super) fn evict(&mut self, file: &File) -> std::io::Result<usize> {
        let doomed = std::mem::take(&mut self.doomed);
        let length = file.metadata()?.len();
        for (page, bytes) in &doomed {
            let at = page * PAGE;
            // What was added was never written: zeros.
            let mut bytes = bytes.clone();
            let end = length.saturating_sub(at).min(PAGE);
            bytes.resize(usize::try_from(end).unwrap_or(0), 0);
            file.write_all_at(&bytes, at)?;
        }
        Ok(doomed.len())
    }
}

fn read(file: &File, page: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(PAGE).unwrap_or(0)];
    let read = file.read_at(&mut bytes, page * PAGE).unwrap_or(0);
    bytes.truncate(read);
    bytes
}
