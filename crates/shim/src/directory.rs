//! The directory of one command, and the lock that is held as long as its supervisor lives.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use crate::spool::{LOCK, create_new, open_directory};

/// A directory that holds nothing but its lock, which is ours.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    pub(crate) folder: OwnedFd,
    pub(crate) lock: File,
}

impl Directory {
    /// Makes one; nothing is left behind after an error.
    ///
    /// # Errors
    /// `AlreadyExists` where there is one of that name.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(path)?;
        Self::lock(path).inspect_err(|_| drop(fs::remove_dir_all(path)))
    }

    /// Locks one that is empty.
    pub(crate) fn lock(path: &Path) -> io::Result<Self> {
        let lock = create_new(&path.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path: path.to_owned(), folder: open_directory(path)?, lock })
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// `AlreadyExists` where there is one of that name.
    pub(crate) fn rename(&mut self, path: &Path) -> io::Result<()> {
        renameat_with(CWD, &self.path, CWD, path, RenameFlags::NOREPLACE)?;
        path.clone_into(&mut self.path);
        Ok(())
    }
}
