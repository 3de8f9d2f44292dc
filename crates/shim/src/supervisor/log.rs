//! Writes the output as records.
//!
//! A disk that is full loses nothing: records wait here, the command's pipes are not read
//! meanwhile, and so it waits, too, until there is room again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use crate::record::{self, Channel};
use crate::spool::{OUTPUT, create_new};
use crate::sys::wall_us;

/// Before a full disk is tried again.
pub(super) const FULL_PAUSE: Duration = Duration::from_millis(100);

/// The growing output. The file is made with the first byte.
pub(super) struct Log {
    file: Option<File>,
    length: u64,
    limit_bytes: Option<u64>,
    kept_bytes: u64,
    dropped_bytes: u64,
    /// Records that are not in the file yet, or only in part.
    waiting: Vec<u8>,
    /// How much of them is.
    written: usize,
}

impl Log {
    pub(super) fn new(limit_bytes: Option<u64>) -> Self {
        Self {
            file: None,
            length: 0,
            limit_bytes,
            kept_bytes: 0,
            dropped_bytes: 0,
            waiting: Vec::new(),
            written: 0,
        }
    }

    /// Says whether records wait for room on the disk.
    pub(super) fn is_stuck(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns the length of the record stream, as far as it is in the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Keeps output of the command, up to the limit; beyond it only counts.
    pub(super) fn output(&mut self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        let room = self.limit_bytes.map_or(u64::MAX, |limit| limit - self.kept_bytes.min(limit));
        let keep = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.kept_bytes += keep as u64;
        self.dropped_bytes += (bytes.len() - keep) as u64;
        if keep == 0 {
            return Ok(());
        }
        self.write(channel, &bytes[..keep])
    }

    /// Adds a word of our own.
    pub(super) fn system(&mut self, text: &str) -> io::Result<()> {
        self.write(Channel::System, text.as_bytes())
    }

    /// Completes the output and syncs it, however long the disk is full.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.dropped_bytes > 0 {
            let dropped = self.dropped_bytes;
            self.write(Channel::Gap, &dropped.to_le_bytes())?;
        }
        while self.is_stuck() {
            std::thread::sleep(FULL_PAUSE);
            self.flush()?;
        }
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    fn write(&mut self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(record::PAYLOAD_BYTES) {
            record::append(&mut self.waiting, channel, wall_us(), piece);
        }
        self.flush()
    }

    /// Writes what waits, as far as there is room for it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.is_stuck() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => match create_new(Path::new(OUTPUT)) {
                Err(error) if is_full(&error) => return Ok(()),
                made => none.insert(made?),
            },
        };
        while self.written < self.waiting.len() {
            let at = self.length + self.written as u64;
            match file.write_at(&self.waiting[self.written..], at) {
                Ok(0) => return Ok(()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_full(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.length += self.waiting.len() as u64;
        self.waiting.clear();
        self.written = 0;
        Ok(())
    }
}

/// Says whether there may be room another time.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
