//! Directories that wait for a command.
//!
//! Making a directory takes a file system longer than everything else a launch asks of it. What a
//! command leaves is emptied and takes the name of the next. After some uses it is removed all the
//! same: ext4 without a journal looks for each new file's inode behind those that were deleted
//! near it in the last minutes.
//!
//! One that waits means nothing: the spool lists commands only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::directory::Directory;

const PREFIX: &str = "ready-";
/// More commands that come at once wait a little longer. It is about so many.
const MOST: usize = 4;
/// One in so many is made anew.
const USES: u32 = 16;

/// The waiting directories of a spool.
#[derive(Debug)]
pub(crate) struct Ahead {
    spool: PathBuf,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    directories: Vec<Directory>,
    /// Of all that ever waited.
    count: u32,
}

impl Ahead {
    /// Removes what an earlier worker left.
    pub(crate) fn new(spool: &Path) -> io::Result<Self> {
        remove_all(spool)?;
        Ok(Self { spool: spool.to_owned(), waiting: Mutex::default() })
    }

    /// Returns a locked, empty directory of that name.
    ///
    /// # Errors
    /// `AlreadyExists` where there is one.
    pub(crate) fn make(&self, path: &Path) -> io::Result<Directory> {
        let waiting = self.lock().directories.pop();
        let Some(mut directory) = waiting else { return Directory::make(path) };
        match directory.rename(path) {
            Ok(()) => Ok(directory),
            Err(error) => {
                self.lock().directories.push(directory);
                if error.kind() == io::ErrorKind::AlreadyExists {
                    return Err(error);
                }
                // Not every file system renames without replacing.
                Directory::make(path)
            }
        }
    }

    /// Removes a directory from its name, and keeps one for the next command.
    ///
    /// # Errors
    /// When something of that name is still there.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let Some(number) = self.number() else { return remove(path) };
        let name = self.spool.join(format!("{PREFIX}{number}"));
        let next = if number.is_multiple_of(USES) {
            remove(path)?;
            Directory::make(&name)
        } else {
            recycle(path, &name)
        };
        match next {
            Ok(directory) => self.lock().directories.push(directory),
            // The next command makes its own, and tells of trouble with the disk.
            Err(_) => remove(path)?,
        }
        Ok(())
    }

    /// Numbers another one, unless enough are waiting. No lock is held while the disk works.
    fn number(&self) -> Option<u32> {
        let mut waiting = self.lock();
        if waiting.directories.len() >= MOST {
            return None;
        }
        waiting.count = waiting.count.wrapping_add(1);
        Some(waiting.count)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // The next worker would do it, too.
        remove_all(&self.spool).ok();
    }
}

/// Takes a directory from its command. Its supervisor may still hold the old lock; by name it
/// makes nothing any more.
fn recycle(path: &Path, name: &Path) -> io::Result<Directory> {
    failpoint::around(failpoint::Act::Recycle, || fs::rename(path, name))?;
    let empty = || -> io::Result<()> {
        for entry in fs::read_dir(name)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    };
    let emptied = empty().and_then(|()| Directory::lock(name));
    emptied.inspect_err(|_| drop(fs::remove_dir_all(name)))
}

fn remove_all(spool: &Path) -> io::Result<()> {
    for entry in fs::read_dir(spool)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::LOCK;
    use rustix::fs::{FlockOperation, flock};

    fn names(spool: &Path) -> Vec<String> {
        let entries = fs::read_dir(spool).unwrap().map(Result::unwrap);
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_a_command_left_is_empty_and_free_for_the_next() {
        let spool = tempfile::tempdir().unwrap();
        let (first, second) = (spool.path().join("1"), spool.path().join("2"));
        let ahead = Ahead::new(spool.path()).unwrap();
        let held = ahead.make(&first).unwrap();
        fs::write(first.join("exit"), "0").unwrap();
        ahead.remove(&first).unwrap();
        assert_eq!(names(spool.path()), ["ready-1"]);
        let next = ahead.make(&second).unwrap();
        assert_eq!(names(&second), [LOCK]);
        drop(held);
        let lock = fs::File::open(second.join(LOCK)).unwrap();
        let is_free = || flock(&lock, FlockOperation::NonBlockingLockShared).is_ok();
        assert!(!is_free(), "the lock of the one before is another");
        drop(next);
        assert!(is_free());
    }

    #[test]
    fn a_name_that_is_taken_is_refused_and_what_is_not_there_is_removed() {
        let spool = tempfile::tempdir().unwrap();
        let (taken, free) = (spool.path().join("1"), spool.path().join("2"));
        let ahead = Ahead::new(spool.path()).unwrap();
        fs::create_dir(&taken).unwrap();
        let refused = || ahead.make(&taken).unwrap_err().kind();
        assert_eq!(refused(), io::ErrorKind::AlreadyExists);
        drop(ahead.make(&free).unwrap());
        ahead.remove(&free).unwrap();
        ahead.remove(&free).unwrap();
        assert_eq!(refused(), io::ErrorKind::AlreadyExists);
        assert!(names(&taken).is_empty(), "it is not replaced");
    }

    #[test]
    fn few_wait_and_none_is_left_behind() {
        let spool = tempfile::tempdir().unwrap();
        fs::create_dir(spool.path().join("ready-7")).unwrap();
        let ahead = Ahead::new(spool.path()).unwrap();
        assert!(names(spool.path()).is_empty(), "what an earlier worker left");
        let paths: Vec<_> = (0..40).map(|n| spool.path().join(n.to_string())).collect();
        let made: Vec<_> = paths.iter().map(|path| ahead.make(path).unwrap()).collect();
        paths.iter().for_each(|path| ahead.remove(path).unwrap());
        assert_eq!(names(spool.path()).len(), MOST);
        drop((made, ahead));
        assert!(names(spool.path()).is_empty());
    }
}
