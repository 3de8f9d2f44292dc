//! Reads a command's output, while it grows and afterwards.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::inspect::{Found, inspect};
use crate::{record, segment};

/// A reader of the record stream. Offsets are stable; torn tails are not shown. While the
/// command runs the stream is its head; what was kept of the rest follows once it has ended.
#[derive(Debug)]
pub struct OutputReader {
    directory: PathBuf,
    head: Option<File>,
    /// Known once the command has ended.
    tail: Option<Vec<Piece>>,
}

/// A file of the tail and its place in the stream.
#[derive(Debug)]
struct Piece {
    file: File,
    begin: u64,
    /// Bytes at its start that are not part of the stream.
    hidden: u64,
}

impl OutputReader {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, head: None, tail: None }
    }

    /// Reads whole records from `offset`, about `most` bytes of them and at least one where
    /// there is one; empty at the present end.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn read_at(&mut self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let Some(head) = self.head()? else { return Ok(Vec::new()) };
        let records = read_records(head, offset, most)?;
        if !records.is_empty() {
            return Ok(records);
        }
        let head_bytes = head.metadata()?.len();
        if offset < head_bytes {
            return Ok(records);
        }
        let tail = self.tail(head_bytes)?;
        let after = tail.partition_point(|piece| piece.begin <= offset);
        let Some(piece) = after.checked_sub(1).map(|at| &tail[at]) else { return Ok(Vec::new()) };
        read_records(&piece.file, offset - piece.begin + piece.hidden, most)
    }

    /// Returns how much may be there to read while the command runs; the end may be torn.
    ///
    /// # Errors
    /// When the file cannot be asked.
    pub fn live_bytes(&mut self) -> io::Result<u64> {
        Ok(self.head()?.map(File::metadata).transpose()?.map_or(0, |found| found.len()))
    }

    /// Returns the length of the whole records, reading all of them.
    ///
    /// # Errors
    /// When the files cannot be read.
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

    fn head(&mut self) -> io::Result<Option<&File>> {
        if self.head.is_none() {
            self.head = match File::open(self.directory.join(segment::name(0))) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        Ok(self.head.as_ref())
    }

    fn tail(&mut self, head_bytes: u64) -> io::Result<&[Piece]> {
        if self.tail.is_none() {
            match inspect(&self.directory)? {
                Found::Exited(_) | Found::SupervisorLost { .. } => {}
                // After a power cut the files need not fit each other: the head has to do.
                Found::Alive | Found::NeverRan | Found::Rebooted => return Ok(&[]),
            }
            self.tail = Some(self.open_tail(head_bytes)?);
        }
        Ok(self.tail.as_deref().unwrap_or_default())
    }

    fn open_tail(&self, head_bytes: u64) -> io::Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut begin = head_bytes;
        for (at, number) in segment::tail_numbers(&self.directory)?.into_iter().enumerate() {
            let file = File::open(self.directory.join(segment::name(number)))?;
            let first = read_up_to(&file, 0, segment::FIRST_BYTES)?;
            let Some(before) = segment::before_bytes(&first) else { break };
            let hidden = segment::hidden_bytes(at, before);
            let size = file.metadata()?.len();
            pieces.push(Piece { file, begin, hidden });
            begin += size - hidden;
        }
        Ok(pieces)
    }
}

fn read_records(file: &File, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = read_up_to(file, offset, most)?;
    let mut whole = record::valid_prefix(&bytes);
    if whole == 0 && bytes.len() == most {
        bytes = read_up_to(file, offset, record::HEADER_BYTES + record::PAYLOAD_BYTES)?;
        whole = record::first(&bytes).map_or(0, |record| record.size());
    }
    bytes.truncate(whole);
    Ok(bytes)
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
