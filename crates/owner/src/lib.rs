//! A lock file by which one daemon owns a place, such as a data directory.
//!
//! The kernel drops the lock when the process ends, however it ends; the file stays. The pid in
//! it is for people.
//!
//! A daemon that was killed while it started a program has left a child that holds the lock until
//! it becomes that program. So the next daemon does not take the first no for an answer.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How often a lock that is held is asked for again. With the pauses this is a second, and no child
/// takes so long to become a program.
const TIMES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// A lock held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "{path} is locked by another daemon (pid {pid}); stop it first, or give this one another place"
    )]
    Held { path: PathBuf, pid: String },
    #[error("lock {path}")]
    Io { path: PathBuf, source: io::Error },
}

impl Lock {
    /// Locks `path`, which is created if it is missing. Blocks for a second at most.
    ///
    /// # Errors
    /// `Held` where somebody else has it.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        Self::acquire_in(path, || sleep(PAUSE))
    }

    fn acquire_in(path: &Path, pause: impl FnMut()) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match take(&file, pause) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(LockError::Held { path: path.to_owned(), pid: pid_in(&mut file) });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        write_pid(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn take(file: &File, mut pause: impl FnMut()) -> rustix::io::Result<()> {
    for _ in 0..TIMES {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => pause(),
            taken => return taken,
        }
    }
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// Reads the holder's pid; the holder may be just about to write it.
fn pid_in(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(20).read_to_string(&mut text) {
        Ok(_) if text.trim().parse::<u32>().is_ok() => text.trim().to_owned(),
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_the_pid_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::acquire(&path).unwrap();
        let message = Lock::acquire_in(&path, || ()).unwrap_err().to_string();
        assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
        drop(first);
        Lock::acquire(&path).unwrap();
    }

    #[test]
    fn a_lock_that_is_let_go_of_in_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut first = Some(Lock::acquire(&path).unwrap());
        let mut pauses = 0;
        let second = Lock::acquire_in(&path, || {
            pauses += 1;
            if pauses == 3 {
                first = None;
            }
        });
        second.unwrap();
        assert_eq!(pauses, 3);
    }

    #[test]
    fn a_file_left_by_a_dead_daemon_does_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::fs::write(&path, "999999999999 nonsense").unwrap();
        Lock::acquire(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }
}
