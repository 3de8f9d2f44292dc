//! Working directories, `WORK/<builder>/<slot>`: which a build may need, and which may go.
//!
//! A slot belongs to one build at a time. So of all directories of a slot only that of its last
//! tenant can be needed by a build that goes on; `WORK/.tenant-<slot>` names it, and a slot
//! without that file is left alone.
//! **Invariant**: a directory is entered, and taken away, under one lock.

mod janitor;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use config::Name;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use tokio::sync::Notify;

pub(crate) use janitor::run;

use crate::settings::DiskPolicy;

const TENANT: &str = ".tenant-";
const TRASH: &str = ".trash-";

/// All of them.
#[derive(Debug)]
pub(crate) struct Workdirs {
    work: PathBuf,
    policy: DiskPolicy,
    /// Held while a directory is entered or taken away; counts those taken away.
    turn: Mutex<u64>,
    /// Somebody entered a directory, and is going to fill it.
    entered: Notify,
}

/// A directory that no build needs.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Unneeded {
    entered: SystemTime,
    path: PathBuf,
}

impl Workdirs {
    /// Makes the directory of all of them.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub(crate) fn open(work: PathBuf, policy: DiskPolicy) -> io::Result<Self> {
        fs::create_dir_all(&work)?;
        let workdirs = Self { work, policy, turn: Mutex::default(), entered: Notify::new() };
        if policy.keep_free_bytes == 0 {
            // Nobody keeps these up to date; a later start must not believe them.
            for path in workdirs.named(TENANT)? {
                fs::remove_file(path)?;
            }
        }
        Ok(workdirs)
    }

    /// Returns the directory of all of them.
    pub(crate) fn path(&self) -> &Path {
        &self.work
    }

    /// Notes whose a slot is from now on, and makes its directory by `make`.
    ///
    /// # Errors
    /// When that cannot be noted: then nothing may be put there.
    pub(crate) fn enter<T>(
        &self,
        builder: &Name,
        slot: u32,
        make: impl FnOnce() -> T,
    ) -> io::Result<T> {
        if self.policy.keep_free_bytes == 0 {
            return Ok(make());
        }
        let turn = self.lock();
        self.note_tenant(builder, slot)?;
        let made = make();
        // Only the order of removals is by this time.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        let place = self.work.join(builder.as_str()).join(slot.to_string());
        utimensat(CWD, place, &times, AtFlags::SYMLINK_NOFOLLOW).ok();
        drop(turn);
        self.entered.notify_one();
        Ok(made)
    }

    fn note_tenant(&self, builder: &Name, slot: u32) -> io::Result<()> {
        let path = self.work.join(format!("{TENANT}{slot}"));
        if fs::read(&path).is_ok_and(|known| known == builder.as_str().as_bytes()) {
            return Ok(());
        }
        // Synced: after a power cut a build may go on with its next step where it was.
        let beside = self.work.join(format!("{TENANT}new"));
        let mut file = File::create(&beside)?;
        file.write_all(builder.as_str().as_bytes())?;
        file.sync_data()?;
        fs::rename(&beside, &path)?;
        File::open(&self.work)?.sync_all()
    }

    /// Says whether less is free than should be.
    fn is_short(&self) -> io::Result<bool> {
        let disk = rustix::fs::statvfs(&self.work)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize) < self.policy.keep_free_bytes)
    }

    /// Takes the directory that was unused for longest out of everybody's way, if one may go.
    /// What is left of it is in the trash.
    fn take_away_oldest(&self) -> io::Result<Option<PathBuf>> {
        let mut turn = self.lock();
        let Some(Unneeded { path, .. }) = self.unneeded()?.into_iter().min() else {
            return Ok(None);
        };
        loop {
            *turn += 1;
            let away = self.work.join(format!("{TRASH}{turn}"));
            // An earlier daemon may have left some.
            if !away.exists() {
                fs::rename(&path, away)?;
                return Ok(Some(path));
            }
        }
    }

    fn unneeded(&self) -> io::Result<Vec<Unneeded>> {
        let mut unneeded = Vec::new();
        for builder in fs::read_dir(&self.work)? {
            let builder = builder?;
            let name = builder.file_name();
            let is_builder = name.to_str().is_some_and(|name| Name::parse(name).is_ok());
            if !is_builder || !builder.file_type()?.is_dir() {
                continue;
            }
            for slot in fs::read_dir(builder.path())? {
                let slot = slot?;
                let Some(number) = slot.file_name().to_str().and_then(|text| text.parse().ok())
                else {
                    continue;
                };
                if self.tenant(number)?.is_some_and(|tenant| name.as_encoded_bytes() != tenant) {
                    let entered = slot.metadata()?.modified()?;
                    unneeded.push(Unneeded { entered, path: slot.path() });
                }
            }
        }
        Ok(unneeded)
    }

    fn tenant(&self, slot: u32) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.work.join(format!("{TENANT}{slot}"))) {
            Ok(builder) => Ok(Some(builder)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns what was taken away and is still there.
    fn trash(&self) -> io::Result<Vec<PathBuf>> {
        self.named(TRASH)
    }

    fn named(&self, prefix: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.work)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
