//! The directory of one command, locked; it can be made ahead.
//!
//! Making a directory takes a file system longer than everything else a launch asks of it. One
//! that was made ahead only has to be given the name of its command. Until then it means nothing:
//! the spool lists commands only.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use crate::spool::{LOCK, create_new, open_directory};

/// The name of one that was made ahead.
const AHEAD: &str = "ready";

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

    /// Makes one in a spool, ahead of its command.
    pub(crate) fn make_ahead(spool: &Path) -> io::Result<Self> {
        remove_ahead(spool)?;
        Self::make(&spool.join(AHEAD))
    }

    fn lock(path: &Path) -> io::Result<Self> {
        let lock = create_new(&path.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path: path.to_owned(), folder: open_directory(path)?, lock })
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// `AlreadyExists` where there is one of that name.
    pub(crate) fn rename(self, path: &Path) -> io::Result<Self> {
        renameat_with(CWD, &self.path, CWD, path, RenameFlags::NOREPLACE)?;
        Ok(Self { path: path.to_owned(), ..self })
    }
}

/// Removes one that was made ahead and is not needed.
pub(crate) fn remove_ahead(spool: &Path) -> io::Result<()> {
    match fs::remove_dir_all(spool.join(AHEAD)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_made_ahead_takes_a_name_that_is_free() {
        let spool = tempfile::tempdir().unwrap();
        let (free, taken) = (spool.path().join("free"), spool.path().join("taken"));
        fs::create_dir(&taken).unwrap();
        let ahead = Directory::make_ahead(spool.path()).unwrap();
        assert_eq!(ahead.rename(&taken).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        // What is left of the one before is no hindrance.
        let ahead = Directory::make_ahead(spool.path()).unwrap();
        let named = ahead.rename(&free).unwrap();
        let other = File::open(free.join(LOCK)).unwrap();
        assert!(flock(&other, FlockOperation::NonBlockingLockShared).is_err(), "its lock is held");
        drop(named);
        assert!(flock(&other, FlockOperation::NonBlockingLockShared).is_ok());
    }
}
