//! The shelf: all logs of this master, living and sealed, by command.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use attempt::CommandId;
use tokio::sync::watch;

use super::live::LiveLog;
use super::seal::{self, SealError, Sealed};
use super::sealed::SealedLog;

/// Why a log cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    #[error("open log {path}")]
    Open { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// All logs below one folder. Living ones are shared and stay open while they grow.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    live: Mutex<BTreeMap<CommandId, Arc<LiveLog>>>,
    /// Wakes those who wait for a log that is not there yet.
    births: watch::Sender<()>,
}

impl Shelf {
    /// Opens the shelf, making its folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path) -> Result<Self, ShelfError> {
        fs::create_dir_all(folder)
            .map_err(|source| ShelfError::Open { path: folder.to_owned(), source })?;
        Ok(Self {
            folder: folder.to_owned(),
            live: Mutex::default(),
            births: watch::Sender::new(()),
        })
    }

    /// Returns the living log of a command, making it where there is none; its file comes with
    /// its first byte.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub fn live(&self, command: CommandId) -> Result<Arc<LiveLog>, ShelfError> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = live.get(&command) {
            return Ok(log.clone());
        }
        let path = self.live_path(command);
        let log = LiveLog::open(&path).map_err(|source| ShelfError::Open { path, source })?;
        let log = Arc::new(log);
        live.insert(command, log.clone());
        drop(live);
        self.births.send_replace(());
        Ok(log)
    }

    /// Waits until a command has a living log.
    pub async fn born(&self, command: CommandId) {
        let mut births = self.births.subscribe();
        while !self.has_live(command) && births.changed().await.is_ok() {}
    }

    /// Returns how much of a command's log is here; the place from which its worker resumes.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn position(&self, command: CommandId) -> Result<u64, ShelfError> {
        if !self.has_live(command) && !self.live_path(command).exists() {
            return Ok(0);
        }
        Ok(self.live(command)?.length())
    }

    /// Seals a finished log. An empty one leaves no file.
    ///
    /// # Errors
    /// When reading or writing fails; the living log is untouched then.
    pub fn seal(&self, command: CommandId) -> Result<Option<Sealed>, ShelfError> {
        let target = self.sealed_path(command);
        if !self.has_live(command) && !self.live_path(command).exists() {
            return Ok(None);
        }
        let live = self.live(command)?;
        if live.length() == 0 {
            return Ok(None);
        }
        Ok(Some(seal::seal(&live, &target)?))
    }

    /// Lets go of the living form once the database knows the sealed one.
    pub fn retire(&self, command: CommandId) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&command);
        let path = self.live_path(command);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("remove the living log {}: {error}", path.display());
        }
    }

    /// Opens a log for reading, in whichever form it is.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub fn reader(&self, command: CommandId) -> Result<LogReader, ShelfError> {
        let sealed = self.sealed_path(command);
        match SealedLog::open(&sealed) {
            Ok(log) => Ok(LogReader::Sealed(Arc::new(log))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.has_live(command) || self.live_path(command).exists() {
                    return Ok(LogReader::Live(self.live(command)?));
                }
                Ok(LogReader::Absent)
            }
            Err(source) => Err(ShelfError::Open { path: sealed, source }),
        }
    }

    /// Returns the file name of a sealed log.
    pub fn sealed_name(command: CommandId) -> String {
        format!("{command}.logz")
    }

    fn has_live(&self, command: CommandId) -> bool {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&command)
    }

    fn live_path(&self, command: CommandId) -> PathBuf {
        self.folder.join(format!("{command}.log"))
    }

    fn sealed_path(&self, command: CommandId) -> PathBuf {
        self.folder.join(Self::sealed_name(command))
    }
}

/// A log open for reading.
#[derive(Debug, Clone)]
pub enum LogReader {
    /// Nothing was written yet.
    Absent,
    Live(Arc<LiveLog>),
    Sealed(Arc<SealedLog>),
}

impl LogReader {
    /// Reads whole records from an offset on; empty at the present end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_at(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Absent => Ok(Vec::new()),
            Self::Live(log) => log.read_at(offset, most),
            Self::Sealed(log) => log.read_at(offset),
        }
    }

    /// Returns a receiver that sees a living log grow.
    pub fn watch(&self) -> Option<watch::Receiver<u64>> {
        match self {
            Self::Live(log) => Some(log.watch()),
            Self::Absent | Self::Sealed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use proto::record;

    use super::*;

    const COMMAND: CommandId = CommandId { incarnation: 7, counter: 1 };

    #[test]
    fn a_command_that_says_nothing_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let log = shelf.live(COMMAND).unwrap();
        assert_eq!((log.length(), log.read_at(0, 10).unwrap()), (0, Vec::new()));
        assert_eq!(shelf.seal(COMMAND).unwrap(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        shelf.retire(COMMAND);
        assert!(matches!(shelf.reader(COMMAND).unwrap(), LogReader::Absent));
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Vec::new();
        record::append(&mut records, record::Channel::Out, 1, b"hello");
        Shelf::open(folder.path()).unwrap().live(COMMAND).unwrap().append(0, &records).unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        assert_eq!(shelf.position(COMMAND).unwrap(), records.len() as u64);
        assert_eq!(shelf.reader(COMMAND).unwrap().read_at(0, 100).unwrap(), records);
    }

    #[tokio::test]
    async fn who_waits_for_a_log_is_woken_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let other = CommandId { counter: 2, ..COMMAND };
        let mut waiting = std::pin::pin!(shelf.born(COMMAND));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        shelf.live(other).unwrap();
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        shelf.live(COMMAND).unwrap();
        waiting.await;
    }
}
