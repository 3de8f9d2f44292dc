//! Counts lines and marks where they are, so that a range of lines is found without reading all.
//!
//! A line is the bytes up to a line feed within one channel; lines of both channels are numbered
//! together, by the place of their first byte.

use proto::record::{self, Channel};
use serde::{Deserialize, Serialize};

/// Lines, and bytes of records, between two marks.
const MARK_LINES: u64 = 256;
const MARK_BYTES: u64 = 64 * 1024;

/// A place between two records from which lines can be counted on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Record-stream offset.
    pub offset: u64,
    /// The number of the next line to begin.
    pub line: u64,
    /// Whether a line of stdout, of stderr, has begun and not ended.
    pub out_open: bool,
    pub err_open: bool,
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
    now: Mark,
    marks: Vec<Mark>,
    pub out: Written,
    pub err: Written,
}

impl LineIndexer {
    /// Takes the next whole records.
    pub(super) fn take(&mut self, records: &[u8]) {
        for record in record::iter(records) {
            self.mark();
            match record.channel {
                Channel::Out => begin_lines(&mut self.out, &mut self.now.out_open, record.bytes),
                Channel::Err => begin_lines(&mut self.err, &mut self.now.err_open, record.bytes),
                Channel::System | Channel::Gap => {}
            }
            self.now.line = self.out.lines + self.err.lines;
            self.now.offset += (record::HEADER_BYTES + record.bytes.len()) as u64;
        }
    }

    fn mark(&mut self) {
        let is_due = self.marks.last().is_none_or(|last| {
            self.now.line - last.line >= MARK_LINES || self.now.offset - last.offset >= MARK_BYTES
        });
        if is_due {
            self.marks.push(self.now);
        }
    }

    /// Returns the marks, in the order of their places.
    pub(super) fn finish(self) -> Vec<Mark> {
        self.marks
    }
}

fn begin_lines(written: &mut Written, is_open: &mut bool, bytes: &[u8]) {
    let Some(last) = bytes.last() else { return };
    let feeds = memchr::memchr_iter(b'\n', bytes).count() as u64;
    let ends_line = *last == b'\n';
    let begins = if *is_open { 0 } else { 1 };
    // Every feed but one at the very end is followed by the first byte of a line.
    written.lines += begins + feeds - u64::from(ends_line);
    written.bytes += bytes.len() as u64;
    *is_open = !ends_line;
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
        assert!(marks[4].out_open, "the long line had begun");
    }
}
