//! The shelf: all logs of this master, living and sealed, by command.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attempt::CommandId;
use proto::limits;
use proto::message::question::LogRange;
use tokio::sync::watch;

use super::live::LiveLog;
use super::range::{self, Piece};
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
    /// its first byte. `None` where the log was sealed and its living form is gone.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub fn live(&self, command: CommandId) -> Result<Option<Arc<LiveLog>>, ShelfError> {
        let mut live = self.lock();
        if let Some(log) = live.get(&command) {
            return Ok(Some(log.clone()));
        }
        let path = self.live_path(command);
        if !path.exists() && self.sealed_path(command).exists() {
            return Ok(None);
        }
        let log = LiveLog::open(&path).map_err(|source| ShelfError::Open { path, source })?;
        let log = Arc::new(log);
        live.insert(command, log.clone());
        drop(live);
        self.births.send_replace(());
        Ok(Some(log))
    }

    /// Waits until a command has a living log.
    pub async fn born(&self, command: CommandId) {
        let mut births = self.births.subscribe();
        while !self.lock().contains_key(&command) && births.changed().await.is_ok() {}
    }

    /// Returns how much of a command's log is here; the place from which its worker resumes.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn position(&self, command: CommandId) -> Result<u64, ShelfError> {
        if self.has_none(command) {
            return Ok(0);
        }
        match self.live(command)? {
            Some(log) => Ok(log.length()),
            None => {
                let path = self.sealed_path(command);
                let sealed = SealedLog::open(&path);
                Ok(sealed.map_err(|source| ShelfError::Open { path, source })?.bytes())
            }
        }
    }

    /// Seals a finished log. An empty one leaves no file.
    ///
    /// # Errors
    /// When reading or writing fails; the living log is untouched then.
    pub fn seal(&self, command: CommandId) -> Result<Option<Sealed>, ShelfError> {
        if self.has_none(command) {
            return Ok(None);
        }
        let Some(live) = self.live(command)? else { return Ok(None) };
        if live.length() == 0 {
            return Ok(None);
        }
        Ok(Some(seal::seal(&live, &self.sealed_path(command))?))
    }

    /// Lets go of the living form once the database knows the sealed one.
    pub fn retire(&self, command: CommandId) {
        // Held until the file is gone, or somebody could open it in between.
        let mut live = self.lock();
        live.remove(&command);
        let path = self.live_path(command);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("remove the living log {}: {error}", path.display());
        }
    }

    /// Returns the commands whose logs are here in both forms, as a kill or a power cut leaves
    /// them between the seal of a log and the removal of its living form.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn doubled(&self) -> Result<Vec<CommandId>, ShelfError> {
        let open = |source| ShelfError::Open { path: self.folder.clone(), source };
        let mut doubled = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(open)? {
            let name = entry.map_err(open)?.file_name();
            let command = name.to_str().and_then(|name| command_of(name.strip_suffix(".log")?));
            doubled.extend(command.filter(|command| self.sealed_path(*command).exists()));
        }
        Ok(doubled)
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
                if self.has_none(command) {
                    return Ok(LogReader::Absent);
                }
                match self.live(command)? {
                    Some(log) => Ok(LogReader::Live(log)),
                    // It was sealed while we looked.
                    None => self.sealed_reader(command),
                }
            }
            Err(source) => Err(ShelfError::Open { path: sealed, source }),
        }
    }

    fn sealed_reader(&self, command: CommandId) -> Result<LogReader, ShelfError> {
        let path = self.sealed_path(command);
        let log = SealedLog::open(&path).map_err(|source| ShelfError::Open { path, source })?;
        Ok(LogReader::Sealed(Arc::new(log)))
    }

    /// Returns the file name of a sealed log.
    pub fn sealed_name(command: CommandId) -> String {
        format!("{command}.logz")
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CommandId, Arc<LiveLog>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether nothing was ever written for a command.
    fn has_none(&self, command: CommandId) -> bool {
        !self.lock().contains_key(&command)
            && !self.live_path(command).exists()
            && !self.sealed_path(command).exists()
    }

    fn live_path(&self, command: CommandId) -> PathBuf {
        self.folder.join(format!("{command}.log"))
    }

    fn sealed_path(&self, command: CommandId) -> PathBuf {
        self.folder.join(Self::sealed_name(command))
    }
}

/// Reads a command's id as it is written in names of files.
fn command_of(text: &str) -> Option<CommandId> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?.to_be_bytes();
    let (incarnation, counter) = (number.first_chunk()?, number.last_chunk()?);
    let incarnation = u64::from_be_bytes(*incarnation);
    Some(CommandId { incarnation, counter: i64::from_be_bytes(*counter) })
}

/// Read at once of a living log for a range, in bytes.
const RANGE_STEP_BYTES: usize = 256 * 1024;

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

    /// Cuts a piece of a range out; it reads and may wait for the disk.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn piece(&self, wanted: LogRange) -> io::Result<Piece> {
        let span = match self {
            Self::Absent => return Ok(Piece::default()),
            Self::Live(log) => log.span(wanted)?,
            Self::Sealed(log) => log.span(wanted)?,
        };
        range::cut(span, limits::RANGE_BYTES, |offset| self.read_at(offset, RANGE_STEP_BYTES))
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

    use proto::record::{self, Channel};

    use super::*;

    const COMMAND: CommandId = CommandId { incarnation: 7, counter: 1 };

    fn records() -> Vec<u8> {
        let mut bytes = Vec::new();
        record::append(&mut bytes, Channel::Out, 1, b"hello");
        bytes
    }

    #[test]
    fn a_command_that_says_nothing_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let log = shelf.live(COMMAND).unwrap().expect("nothing is sealed yet");
        assert_eq!((log.length(), log.read_at(0, 10).unwrap()), (0, Vec::new()));
        assert_eq!(shelf.seal(COMMAND).unwrap(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        shelf.retire(COMMAND);
        assert!(matches!(shelf.reader(COMMAND).unwrap(), LogReader::Absent));
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let records = records();
        let shelf = Shelf::open(folder.path()).unwrap();
        let log = shelf.live(COMMAND).unwrap().expect("nothing is sealed yet");
        log.append(0, &records).unwrap();
        drop((log, shelf));
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

    #[test]
    fn a_log_that_was_sealed_is_not_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        assert_eq!(shelf.position(COMMAND).unwrap(), 0);
        let live = shelf.live(COMMAND).unwrap().expect("nothing is sealed yet");
        live.append(0, &records()).unwrap();
        assert_eq!(shelf.doubled().unwrap(), []);
        shelf.seal(COMMAND).unwrap().expect("it is not empty");
        assert_eq!(shelf.doubled().unwrap(), [COMMAND]);
        assert!(shelf.live(COMMAND).unwrap().is_some(), "the database does not know yet");
        shelf.retire(COMMAND);
        let whole = records().len() as u64;
        for shelf in [shelf, Shelf::open(folder.path()).unwrap()] {
            assert_eq!(shelf.position(COMMAND).unwrap(), whole);
            assert!(shelf.live(COMMAND).unwrap().is_none());
            assert!(shelf.seal(COMMAND).unwrap().is_none());
            assert!(matches!(shelf.reader(COMMAND).unwrap(), LogReader::Sealed(_)));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
