//! Writes the output as records.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::record::{self, Channel};
use crate::spool::{OUTPUT, create_new};
use crate::sys::wall_us;

/// The growing output. The file is made with the first byte.
pub(super) struct Log {
    file: Option<File>,
    length: u64,
    limit_bytes: Option<u64>,
    kept_bytes: u64,
    dropped_bytes: u64,
    buffer: Vec<u8>,
}

impl Log {
    pub(super) fn new(limit_bytes: Option<u64>) -> Self {
        Self {
            file: None,
            length: 0,
            limit_bytes,
            kept_bytes: 0,
            dropped_bytes: 0,
            buffer: Vec::new(),
        }
    }

    /// Returns the length of the record stream.
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

    /// Completes the output and syncs it.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.dropped_bytes > 0 {
            let dropped = self.dropped_bytes;
            self.write(Channel::Gap, &dropped.to_le_bytes())?;
        }
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    fn write(&mut self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        self.buffer.clear();
        for piece in bytes.chunks(record::PAYLOAD_BYTES) {
            record::append(&mut self.buffer, channel, wall_us(), piece);
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(create_new(Path::new(OUTPUT))?),
        };
        file.write_all(&self.buffer)?;
        self.length += self.buffer.len() as u64;
        Ok(())
    }
}
