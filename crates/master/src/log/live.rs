//! A log that still grows.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use failpoint::Act;
use proto::message::question::LogRange;
use proto::record;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::line_index::LineIndexer;
use super::range::Span;

/// Why bytes were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("append to log {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("records for offset {got} came where {wanted} was due")]
    OutOfPlace { got: u64, wanted: u64 },
    #[error("{size} bytes do not end at a record's end")]
    Torn { size: usize },
}

/// A growing log. Appends are serialised, readers use positions and never wait for them.
///
/// Its file is made with the first byte: a command that says nothing leaves no trace here.
#[derive(Debug)]
pub struct LiveLog {
    path: PathBuf,
    file: OnceLock<File>,
    length: watch::Sender<u64>,
    appending: Mutex<()>,
    retired: CancellationToken,
    /// Where lines are, as far as somebody asked.
    lines: Mutex<LineIndexer>,
}

/// Read at once to bring the index up to the present, in bytes.
const INDEX_STEP_BYTES: usize = 1024 * 1024;

impl LiveLog {
    /// Opens the file where there is one, and cuts a torn tail off.
    ///
    /// # Errors
    /// When the file cannot be opened, read or cut.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (file, mut valid) = (OnceLock::new(), 0);
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(mut found) => {
                valid = valid_length(&mut found)?;
                found.set_len(valid)?;
                file.get_or_init(|| found);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (length, _) = watch::channel(valid);
        let (appending, lines) = (Mutex::default(), Mutex::default());
        let retired = CancellationToken::new();
        Ok(Self { path: path.to_owned(), file, length, appending, retired, lines })
    }

    /// Returns the file, making it where there is none. The caller appends.
    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let made = OpenOptions::new().read(true).write(true).create_new(true).open(&self.path)?;
        Ok(self.file.get_or_init(|| made))
    }

    /// Returns how many bytes of whole records it holds.
    pub fn length(&self) -> u64 {
        *self.length.borrow()
    }

    /// Returns a receiver that sees the length grow.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.length.subscribe()
    }

    /// Says that its sealed form has taken its place.
    pub(super) fn retire(&self) {
        self.retired.cancel();
    }

    /// Waits until its sealed form has taken its place. Cancel-safe.
    pub async fn retired(&self) {
        self.retired.cancelled().await;
    }

    /// Appends whole records that begin at `offset`.
    ///
    /// # Errors
    /// `OutOfPlace` where `offset` is not the length, `Torn` where the bytes are not whole
    /// records, `Write` where the disk refuses.
    pub fn append(&self, offset: u64, records: &[u8]) -> Result<(), AppendError> {
        if record::valid_prefix(records) != records.len() {
            return Err(AppendError::Torn { size: records.len() });
        }
        let _one_at_a_time = self.appending.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = self.length();
        if offset != wanted {
            return Err(AppendError::OutOfPlace { got: offset, wanted });
        }
        self.file()
            .and_then(|file| {
                failpoint::around(Act::LogAppend, || file.write_all_at(records, offset))
            })
            .map_err(|source| AppendError::Write { path: self.path.clone(), source })?;
        self.length.send_replace(offset + records.len() as u64);
        Ok(())
    }

    /// Reads whole records from `offset` on, about `most` bytes of them; at least one record
    /// where there is one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_at(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.length().saturating_sub(offset)).unwrap_or(usize::MAX);
        let room = most.max(record::HEADER_BYTES + record::PAYLOAD_BYTES);
        let mut bytes = vec![0; left.min(room)];
        let Some(file) = self.file.get() else { return Ok(Vec::new()) };
        file.read_exact_at(&mut bytes, offset)?;
        let whole = record::valid_prefix(&bytes);
        bytes.truncate(whole);
        Ok(bytes)
    }

    /// Looks up where a range begins. The first to ask after a growth reads what has come since.
    pub(super) fn span(&self, wanted: LogRange) -> io::Result<Span> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let records = self.read_at(lines.offset(), INDEX_STEP_BYTES)?;
            if records.is_empty() {
                return Ok(Span::new(lines.marks(), lines.lines(), wanted));
            }
            lines.take(&records);
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Measures the valid prefix without holding the file in memory.
fn valid_length(file: &mut File) -> io::Result<u64> {
    let mut valid = 0u64;
    let mut window = vec![0; 1024 * 1024];
    loop {
        file.seek(SeekFrom::Start(valid))?;
        let mut filled = 0;
        while filled < window.len() {
            let count = file.read(&mut window[filled..])?;
            if count == 0 {
                break;
            }
            filled += count;
        }
        let whole = record::valid_prefix(&window[..filled]);
        if whole == 0 {
            return Ok(valid);
        }
        valid += whole as u64;
    }
}
