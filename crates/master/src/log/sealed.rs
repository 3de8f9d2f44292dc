//! Reads a sealed log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use proto::message::question::LogRange;
use proto::record;

use super::line_index::Walk;
use super::range::Span;
use super::seal::Index;

/// Largest frame a sealed log may hold once decompressed: 256 KiB of records and one more.
const MOST_FRAME_BYTES: usize = 512 * 1024;
/// An index larger than this belongs to no log we wrote.
const MOST_INDEX_BYTES: u64 = 256 * 1024 * 1024;

/// A sealed log, open for reading.
#[derive(Debug)]
pub struct SealedLog {
    pub(super) file: File,
    pub(super) index: Index,
    /// Where the frames end in the file.
    pub(super) frames_end: u64,
}

impl SealedLog {
    /// Opens the file and reads its index.
    ///
    /// # Errors
    /// When it cannot be read or is not a sealed log.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "not a sealed log");
        let mut length = [0; 4];
        file.read_exact_at(&mut length, size.checked_sub(4).ok_or_else(damaged)?)?;
        let length = u64::from(u32::from_le_bytes(length));
        let frames_end = size.checked_sub(4 + length).ok_or_else(damaged)?;
        if length > MOST_INDEX_BYTES {
            return Err(damaged());
        }
        let mut tail = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut tail, frames_end)?;
        let index = rmp_serde::from_slice(&tail).map_err(|_decode| damaged())?;
        Ok(Self { file, index, frames_end })
    }

    /// Returns the length of the record stream.
    pub fn bytes(&self) -> u64 {
        self.index.bytes
    }

    /// Looks up where a range begins.
    pub(super) fn span(&self, wanted: LogRange) -> io::Result<Span> {
        // The last lines are counted from the last mark on.
        let mut walk = Walk::from(self.index.marks.last().copied().unwrap_or_default());
        loop {
            let records = self.read_at(walk.offset())?;
            if records.is_empty() {
                return Ok(Span::new(&self.index.marks, walk.next_line(), wanted));
            }
            record::iter(&records).for_each(|record| walk.take(record));
        }
    }

    /// Reads whole records from `offset` to the end of its frame.
    ///
    /// # Errors
    /// When the frame cannot be read or decompressed.
    pub fn read_at(&self, offset: u64) -> io::Result<Vec<u8>> {
        let after = self.index.frames.partition_point(|frame| frame.offset <= offset);
        if offset >= self.index.bytes || after == 0 {
            return Ok(Vec::new());
        }
        let frame = self.index.frames[after - 1];
        let end = self.index.frames.get(after).map_or(self.frames_end, |next| next.at);
        let mut packed = vec![0; usize::try_from(end.saturating_sub(frame.at)).unwrap_or(0)];
        self.file.read_exact_at(&mut packed, frame.at)?;
        let records = zstd::bulk::decompress(&packed, MOST_FRAME_BYTES)?;
        let skip = usize::try_from(offset - frame.offset).unwrap_or(usize::MAX);
        Ok(records.get(skip..).unwrap_or_default().to_vec())
    }
}
