//! Reads a command's output while it grows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::record;

/// A reader of the record stream. Offsets are stable; torn tails are not shown.
#[derive(Debug)]
pub struct OutputReader {
    path: PathBuf,
    file: Option<File>,
}

impl OutputReader {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Reads whole records from `offset`, about `most` bytes of them and at least one where
    /// there is one; empty at the present end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_at(&mut self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let Some(file) = self.open()? else { return Ok(Vec::new()) };
        let mut bytes = read_up_to(file, offset, most)?;
        let mut whole = record::valid_prefix(&bytes);
        if whole == 0 && bytes.len() == most {
            bytes = read_up_to(file, offset, record::HEADER_BYTES + record::PAYLOAD_BYTES)?;
            whole = record::first(&bytes).map_or(0, |record| record.size());
        }
        bytes.truncate(whole);
        Ok(bytes)
    }

    /// Returns the length of the whole records, reading all of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn measure(&mut self) -> io::Result<u64> {
        let mut length = 0;
        loop {
            let records = self.read_at(length, 1024 * 1024)?;
            if records.is_empty() {
                return Ok(length);
            }
            length += records.len() as u64;
        }
    }

    fn open(&mut self) -> io::Result<Option<&File>> {
        if self.file.is_none() {
            self.file = match File::open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        Ok(self.file.as_ref())
    }
}

fn read_up_to(file: &File, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
