//! The end of an output that is longer than its cap: a ring of segments, the oldest of which
//! goes when a new one is begun.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::record::{self, Channel};
use crate::segment;
use crate::spool::create_new;
use crate::sys::wall_us;

/// Segments in the ring. Between this many and one less of them are kept whole.
const SEGMENTS: u64 = 16;

/// The ring.
pub(super) struct Tail {
    /// Output in one segment, in bytes.
    segment_bytes: u64,
    /// Oldest first.
    segments: VecDeque<Segment>,
    next_number: u32,
    /// Output since the head, in bytes.
    taken_bytes: u64,
    buffer: Vec<u8>,
}

struct Segment {
    number: u32,
    file: File,
    /// Output between the head and this segment.
    before_bytes: u64,
    /// Output that it holds.
    output_bytes: u64,
    /// Size of the file.
    size: u64,
}

impl Tail {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self {
            segment_bytes: (limit_bytes / SEGMENTS).max(1),
            segments: VecDeque::new(),
            next_number: 1,
            taken_bytes: 0,
            buffer: Vec::new(),
        }
    }

    /// Returns how long it is as a part of the record stream.
    pub(super) fn length(&self) -> u64 {
        let sizes = self.segments.iter().enumerate();
        sizes.map(|(at, s)| s.size - segment::hidden_bytes(at, s.before_bytes)).sum()
    }

    /// Takes the first of some output, or of words of our own, which count for nothing and go with
    /// their segment. Returns how many bytes it took, at least one; what fails took none.
    pub(super) fn take(&mut self, channel: Channel, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room()?;
        let most = usize::try_from(room).unwrap_or(usize::MAX).min(record::PAYLOAD_BYTES);
        let piece = &bytes[..most.min(bytes.len())];
        let Some(segment) = self.segments.back_mut() else { return Ok(piece.len()) };
        self.buffer.clear();
        record::append(&mut self.buffer, channel, wall_us(), piece);
        // At its place: what a full disk cut short is written over.
        segment.file.write_all_at(&self.buffer, segment.size)?;
        segment.size += self.buffer.len() as u64;
        if channel != Channel::System {
            segment.output_bytes += piece.len() as u64;
            self.taken_bytes += piece.len() as u64;
        }
        Ok(piece.len())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.segments.iter().try_for_each(|segment| segment.file.sync_data())
    }

    /// Returns how much fits the newest segment, beginning another where it is full.
    fn room(&mut self) -> io::Result<u64> {
        let newest = self.segments.back();
        let room = newest.map_or(0, |segment| self.segment_bytes - segment.output_bytes);
        if room > 0 {
            return Ok(room);
        }
        if self.segments.len() as u64 >= SEGMENTS
            && let Some(oldest) = self.segments.pop_front()
        {
            fs::remove_file(segment::name(oldest.number))?;
        }
        self.begin_segment()?;
        Ok(self.segment_bytes)
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let number = self.next_number;
        let name = segment::name(number);
        let file = create_new(name.as_ref())?;
        let before_bytes = self.taken_bytes;
        let first = segment::first_record(before_bytes, wall_us());
        if let Err(error) = file.write_all_at(&first, 0) {
            fs::remove_file(&name)?;
            return Err(error);
        }
        self.next_number += 1;
        let size = first.len() as u64;
        self.segments.push_back(Segment { number, file, before_bytes, output_bytes: 0, size });
        Ok(())
    }
}
