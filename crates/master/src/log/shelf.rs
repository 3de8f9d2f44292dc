//! The shelf: all logs of this master, living and sealed, by command.
//!
//! Opening a living log reads all of it, which may take seconds after a restart. Whoever does so
//! has the command's hand meanwhile, and nobody else waits for it but for the same command.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use attempt::CommandId;
use failpoint::Act;
use proto::limits;
use proto::message::question::LogRange;
use tokio::sync::watch;

use super::check;
use super::hands::Hands;
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

impl ShelfError {
    fn is_missing(&self) -> bool {
        matches!(self, Self::Open { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// All logs below one folder. Living ones are shared and stay open while they grow.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    live: Mutex<BTreeMap<CommandId, Arc<LiveLog>>>,
    /// Sealed logs that somebody reads: their indexes are in memory, once.
    sealed: Mutex<BTreeMap<CommandId, Weak<SealedLog>>>,
    /// Needed to put a living log in, or to take one out with its file.
    hands: Hands,
    /// Tells when a living log comes or goes.
    stirs: watch::Sender<()>,
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
            sealed: Mutex::default(),
            hands: Hands::default(),
            stirs: watch::Sender::new(()),
        })
    }

    /// Returns the living log of a command, making it where there is none; its file comes with
    /// its first byte. `None` where the log was sealed and its living form is gone. The first to
    /// ask after a restart reads the whole file: not for where nobody may wait.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub fn live(&self, command: CommandId) -> Result<Option<Arc<LiveLog>>, ShelfError> {
        if let Some(log) = self.lock().get(&command) {
            return Ok(Some(log.clone()));
        }
        let _hand = self.hands.wait_for(command);
        if let Some(log) = self.lock().get(&command) {
            return Ok(Some(log.clone()));
        }
        let path = self.live_path(command);
        if !path.exists() && self.sealed_path(command).exists() {
            return Ok(None);
        }
        let log = LiveLog::open(&path).map_err(|source| ShelfError::Open { path, source })?;
        let log = Arc::new(log);
        self.lock().insert(command, log.clone());
        self.stirs.send_replace(());
        Ok(Some(log))
    }

    /// Says whether a command's living log is open, as it is from its first word on.
    pub fn is_live(&self, command: CommandId) -> bool {
        self.lock().contains_key(&command)
    }

    /// Returns a receiver that is told whenever a living log comes or goes.
    pub fn stirs(&self) -> watch::Receiver<()> {
        self.stirs.subscribe()
    }

    /// Says whether nothing of a command's log is here. It reads no log.
    pub fn is_empty(&self, command: CommandId) -> bool {
        let length = self.lock().get(&command).map(|log| log.length());
        length.map_or_else(|| self.has_none(command), |length| length == 0)
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
            None => Ok(self.sealed(command)?.bytes()),
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
        let _hand = self.hands.wait_for(command);
        let log = self.lock().remove(&command);
        let path = self.live_path(command);
        if let Err(error) = failpoint::around(Act::LogRetire, || fs::remove_file(&path))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("remove the living log {}: {error}", path.display());
        }
        if let Some(log) = log {
            log.retire();
        }
        self.stirs.send_replace(());
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

    /// Returns what a sealed log holds, read anew; for one that the database does not know.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn inspect(&self, command: CommandId) -> Result<Sealed, ShelfError> {
        let path = self.sealed_path(command);
        check::inspect(&path).map_err(|source| ShelfError::Open { path, source })
    }

    /// Returns the commands of which there are logs, in either form.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn commands(&self) -> Result<BTreeSet<CommandId>, ShelfError> {
        let open = |source| ShelfError::Open { path: self.folder.clone(), source };
        let mut commands = BTreeSet::new();
        for entry in fs::read_dir(&self.folder).map_err(open)? {
            let name = entry.map_err(open)?.file_name();
            let stem = name.to_str().and_then(|name| name.split_once('.')).map(|(stem, _)| stem);
            commands.extend(stem.and_then(command_of));
        }
        Ok(commands)
    }

    /// Moves the logs of a command that the database does not know out of the way, for people.
    /// Returns the folder where they are.
    ///
    /// # Errors
    /// When they cannot be moved.
    pub fn set_aside(&self, command: CommandId) -> Result<PathBuf, ShelfError> {
        let aside = self.folder.join("unknown");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ShelfError::Open { path, source }
        };
        fs::create_dir_all(&aside).map_err(failed(&aside))?;
        for path in [self.live_path(command), self.sealed_path(command)] {
            let Some(name) = path.file_name().filter(|_| path.exists()) else { continue };
            let rename = || fs::rename(&path, aside.join(name));
            failpoint::around(Act::LogAside, rename).map_err(failed(&path))?;
        }
        Ok(aside)
    }

    /// Opens a log for reading, in whichever form it is. It may have to read all of it, as `live`.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub fn reader(&self, command: CommandId) -> Result<LogReader, ShelfError> {
        match self.sealed(command) {
            Ok(log) => return Ok(LogReader::Sealed(log)),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
        if self.has_none(command) {
            return Ok(LogReader::Absent);
        }
        match self.live(command)? {
            Some(log) => Ok(LogReader::Live(log)),
            // It was sealed while we looked.
            None => self.sealed(command).map(LogReader::Sealed),
        }
    }

    fn sealed(&self, command: CommandId) -> Result<Arc<SealedLog>, ShelfError> {
        if let Some(known) = self.readers().get(&command).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let path = self.sealed_path(command);
        let log = SealedLog::open(&path).map_err(|source| ShelfError::Open { path, source })?;
        let log = Arc::new(log);
        let mut readers = self.readers();
        readers.retain(|_, log| log.strong_count() > 0);
        readers.insert(command, Arc::downgrade(&log));
        Ok(log)
    }

    fn readers(&self) -> MutexGuard<'_, BTreeMap<CommandId, Weak<SealedLog>>> {
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn who_waits_for_a_log_is_told_when_it_comes_and_when_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let mut stirs = shelf.stirs();
        assert!(!shelf.is_live(COMMAND));
        let log = shelf.live(COMMAND).unwrap().expect("nothing is sealed yet");
        stirs.changed().await.unwrap();
        assert!(shelf.is_live(COMMAND));
        let mut gone = std::pin::pin!(log.retired());
        assert!(gone.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        shelf.retire(COMMAND);
        stirs.changed().await.unwrap();
        gone.await;
    }

    #[test]
    fn a_log_that_is_being_opened_holds_up_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        shelf.live(COMMAND).unwrap().expect("nothing is sealed yet").append(0, &records()).unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let other = CommandId { counter: 2, ..COMMAND };
        std::thread::scope(|scope| {
            let opening = shelf.hands.wait_for(COMMAND);
            let second = scope.spawn(|| shelf.live(COMMAND).unwrap().expect("it is not sealed"));
            shelf.live(other).unwrap().expect("nothing is sealed yet");
            assert!(shelf.is_live(other) && !shelf.is_live(COMMAND));
            assert_eq!(shelf.position(other).unwrap(), 0);
            shelf.retire(other);
            drop(opening);
            assert_eq!(second.join().unwrap().length(), records().len() as u64);
        });
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
            let (first, second) = (shelf.reader(COMMAND).unwrap(), shelf.reader(COMMAND).unwrap());
            let (LogReader::Sealed(first), LogReader::Sealed(second)) = (first, second) else {
                panic!("it is sealed")
            };
            assert!(Arc::ptr_eq(&first, &second), "its index is in memory once");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
