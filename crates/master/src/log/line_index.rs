//! Counts lines and marks where they are, so that a range of lines is found without reading all.
//!
//! A line is the bytes up to a line feed within one channel; lines of both channels are numbered
//! together, by the place of their first byte.
//!
//! Invariant: an index has a bounded number of marks. Where a log has more, every second one goes,
//! and from then on they stand twice as far apart: a range is found by reading a little more.

use proto::record::{self, Channel, Record};
use serde::{Deserialize, Serialize};

/// Lines, and bytes of records, between two marks of a log that is not very long.
const MARK_LINES: u64 = 256;
const MARK_BYTES: u64 = 64 * 1024;
/// Most marks of a log; 1.5 MiB.
const MOST_MARKS: usize = 32 * 1024;

/// A place between two records from which lines can be counted on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Record-stream offset.
    pub offset: u64,
    /// The number of the next line to begin.
    pub line: u64,
    /// The line of stdout, of stderr, that has begun and not ended.
    #[serde(default)]
    pub out_line: Option<u64>,
    #[serde(default)]
    pub err_line: Option<u64>,
}

/// Counts lines from a mark on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Walk {
    now: Mark,
}

impl From<Mark> for Walk {
    fn from(now: Mark) -> Self {
        Self { now }
    }
}

impl Walk {
    pub(super) fn offset(&self) -> u64 {
        self.now.offset
    }

    pub(super) fn mark(&self) -> Mark {
        self.now
    }

    pub(super) fn next_line(&self) -> u64 {
        self.now.line
    }

    pub(super) fn open_lines(&self) -> impl Iterator<Item = u64> {
        [self.now.out_line, self.now.err_line].into_iter().flatten()
    }

    /// Goes past a record.
    pub(super) fn take(&mut self, record: Record<'_>) {
        self.now.offset += record.size() as u64;
        let Some(last) = record.bytes.last() else { return };
        let feeds = memchr::memchr_iter(b'\n', record.bytes).count() as u64;
        let ends_line = *last == b'\n';
        let next = self.now.line;
        let Some(open) = self.open(record.channel) else { return };
        // Every feed but one at the very end is followed by the first byte of a line.
        let begun = u64::from(open.is_none()) + feeds - u64::from(ends_line);
        let newest = if begun == 0 { *open } else { Some(next + begun - 1) };
        *open = newest.filter(|_| !ends_line);
        self.now.line = next + begun;
    }

    /// Goes past a record of stdout or stderr and tells its pieces: the number of the line, and
    /// from where to where in the record.
    pub(super) fn take_lines(
        &mut self,
        record: Record<'_>,
        mut tell: impl FnMut(u64, usize, usize),
    ) {
        let mut from = 0;
        let mut line = self.open(record.channel).and_then(|line| *line);
        let mut next = self.now.line;
        let feeds = memchr::memchr_iter(b'\n', record.bytes).map(|at| at + 1);
        for to in feeds.chain([record.bytes.len()]) {
            if to == from {
                continue;
            }
            let number = line.take().unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            tell(number, from, to);
            from = to;
        }
        self.take(record);
    }

    fn open(&mut self, channel: Channel) -> Option<&mut Option<u64>> {
        match channel {
            Channel::Out => Some(&mut self.now.out_line),
            Channel::Err => Some(&mut self.now.err_line),
            Channel::System | Channel::Gap => None,
        }
    }
}

/// What one channel wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub bytes: u64,
    /// Lines that began.
    pub lines: u64,
}

/// Builds the index while the records go by in order.
#[derive(Debug, Default)]
pub(super) struct LineIndexer {
    walk: Walk,
    marks: Vec<Mark>,
    /// How often the marks were thinned out.
    thinned: u32,
    pub out: Written,
    pub err: Written,
}

impl LineIndexer {
    /// Takes the next whole records.
    pub(super) fn take(&mut self, records: &[u8]) {
        for record in record::iter(records) {
            self.mark();
            let before = self.walk.next_line();
            self.walk.take(record);
            let written = match record.channel {
                Channel::Out => &mut self.out,
                Channel::Err => &mut self.err,
                Channel::System | Channel::Gap => continue,
            };
            written.bytes += record.bytes.len() as u64;
            written.lines += self.walk.next_line() - before;
        }
    }

    /// Returns up to where records were taken.
    pub(super) fn offset(&self) -> u64 {
        self.walk.offset()
    }

    /// Returns how many lines have begun.
    pub(super) fn lines(&self) -> u64 {
        self.walk.next_line()
    }

    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    fn mark(&mut self) {
        let now = self.walk.now;
        let is_due = self.marks.last().is_none_or(|last| {
            let (lines, bytes) = (now.line - last.line, now.offset - last.offset);
            lines >= MARK_LINES << self.thinned || bytes >= MARK_BYTES << self.thinned
        });
        if is_due {
            self.marks.push(now);
        }
        if self.marks.len() > MOST_MARKS {
            self.thin_out();
        }
    }

    /// Keeps the first mark and every second one from there on.
    fn thin_out(&mut self) {
        let mut is_kept = false;
        self.marks.retain(|_| {
            is_kept = !is_kept;
            is_kept
        });
        self.thinned += 1;
    }

    /// Returns the marks, in the order of their places.
    pub(super) fn finish(self) -> Vec<Mark> {
        self.marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(parts: &[(Channel, &[u8])]) -> Vec<u8> {
        let mut stream = Vec::new();
        for (channel, bytes) in parts {
            record::append(&mut stream, *channel, 0, bytes);
        }
        stream
    }

    #[test]
    fn a_line_counts_once_however_it_is_cut_and_mixed() {
        let mut indexer = LineIndexer::default();
        indexer.take(&records(&[
            (Channel::Out, b"a"),
            (Channel::Err, b"x\n"),
            (Channel::Out, b"b\nc"),
            (Channel::System, b"sys\n"),
            (Channel::Out, b"\n"),
            (Channel::Out, b"\n"),
        ]));
        assert_eq!(indexer.out, Written { bytes: 6, lines: 3 });
        assert_eq!(indexer.err, Written { bytes: 2, lines: 1 });
    }

    #[test]
    fn marks_come_every_256_lines_and_every_64_kib() {
        let mut indexer = LineIndexer::default();
        for _ in 0..1_000 {
            indexer.take(&records(&[(Channel::Out, b"line\n")]));
        }
        indexer.take(&records(&[(Channel::Out, &[b'x'; 60_000])]));
        indexer.take(&records(&[(Channel::Out, &[b'x'; 60_000]), (Channel::Out, b"y")]));
        let marks = indexer.finish();
        let lines: Vec<u64> = marks.iter().map(|mark| mark.line).collect();
        assert_eq!(lines, [0, 256, 512, 768, 1001]);
        assert_eq!(marks[4].out_line, Some(1_000), "the long line had begun");
    }

    #[test]
    fn a_log_of_any_length_has_a_bounded_number_of_marks_all_along_it() {
        let mut indexer = LineIndexer::default();
        let piece = records(&[(Channel::Out, &[b'\n'; 256])]);
        let count = 5 * MOST_MARKS;
        for _ in 0..count {
            indexer.take(&piece);
        }
        let marks = indexer.finish();
        assert!(marks.len() > MOST_MARKS / 2 && marks.len() <= MOST_MARKS, "{}", marks.len());
        assert_eq!(marks[0], Mark::default());
        let most = marks.windows(2).map(|pair| pair[1].line - pair[0].line).max();
        assert_eq!(most, Some(8 * 256), "they were thinned out three times");
        let last = marks.last().unwrap();
        assert_eq!(last.offset, last.line / 256 * piece.len() as u64);
        assert!(count as u64 * 256 - last.line <= 8 * 256);
    }
}
