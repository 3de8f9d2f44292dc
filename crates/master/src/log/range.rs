//! Cuts a range of lines or bytes out of a log, a bounded piece at a time.
//!
//! Reading begins at a mark of the line index, so what a piece costs does not depend on where in
//! the log it lies. Records at the edges of lines are cut and sealed anew; all others are copies.

use std::io;

use proto::message::question::LogRange;
use proto::record::{self, Channel, Record};

use super::line_index::{Mark, Walk};

/// Records looked at for one piece, in bytes: a line may be open while another channel goes on.
const MOST_SCANNED_BYTES: u64 = 16 * 1024 * 1024;

/// A piece of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// Where the first of the records stands in the log.
    pub offset: u64,
    pub records: Vec<u8>,
    /// The first line of the range, counted from 0, where lines were asked for.
    pub first_line: u64,
    /// Where the range goes on, where it does.
    pub next_byte: Option<u64>,
}

/// A range whose beginning was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    from: Mark,
    first_byte: u64,
    end_byte: u64,
    first_line: u64,
    end_line: u64,
    has_lines: bool,
}

impl Span {
    /// Looks up where reading begins. `marks` are in order, `lines` is how many have begun.
    pub(super) fn new(marks: &[Mark], lines: u64, wanted: LogRange) -> Self {
        let LogRange { first_line, lines: count, last_lines, first_byte, bytes } = wanted;
        let (first_line, count) = match last_lines {
            0 => (first_line, count),
            last => (lines.saturating_sub(last), last),
        };
        let to_end = |first: u64, count: u64| match count {
            0 => u64::MAX,
            count => first.saturating_add(count),
        };
        let has_lines = first_line > 0 || count > 0;
        let by_line = marks.partition_point(|mark| mark.line <= first_line);
        let by_byte = marks.partition_point(|mark| mark.offset <= first_byte);
        // Without lines asked for, the first line is 0 and bytes alone decide.
        let at = if has_lines { by_line.max(by_byte) } else { by_byte };
        Self {
            from: at.checked_sub(1).map(|at| marks[at]).unwrap_or_default(),
            first_byte,
            end_byte: to_end(first_byte, bytes),
            first_line,
            end_line: to_end(first_line, count),
            has_lines,
        }
    }

    fn wants(&self, line: u64) -> bool {
        (self.first_line..self.end_line).contains(&line)
    }

    /// Says whether something that is no line stands among the lines asked for.
    fn wants_after(&self, next_line: u64) -> bool {
        let is_behind_first = next_line > self.first_line || self.first_line == 0;
        is_behind_first && next_line <= self.end_line
    }

    /// Says whether nothing more of the range can come.
    fn is_over(&self, walk: &Walk) -> bool {
        let is_open = walk.open_lines().any(|line| self.wants(line));
        walk.next_line() > self.end_line && !is_open
    }
}

/// Cuts a piece of at most `most_bytes`, which is more than a record. `read` returns whole records
/// from an offset on, nothing at the end.
pub(super) fn cut(
    span: Span,
    most_bytes: usize,
    mut read: impl FnMut(u64) -> io::Result<Vec<u8>>,
) -> io::Result<Piece> {
    let mut piece = Piece { first_line: span.first_line, ..Piece::default() };
    let mut walk = Walk::from(span.from);
    loop {
        let records = read(walk.offset())?;
        if records.is_empty() {
            return Ok(piece);
        }
        for record in record::iter(&records) {
            let offset = walk.offset();
            if offset >= span.end_byte || span.is_over(&walk) {
                return Ok(piece);
            }
            let has_room = piece.records.len() + record.size() <= most_bytes;
            // Counted from where the range begins: the mark may be far before it, and the same mark
            // is where the next piece begins to be looked for.
            let begin = span.first_byte.max(span.from.offset);
            if !has_room || offset.saturating_sub(begin) > MOST_SCANNED_BYTES {
                piece.next_byte = Some(offset);
                return Ok(piece);
            }
            let kept = kept(&span, &mut walk, record);
            let is_behind_first = offset + record.size() as u64 > span.first_byte;
            if !kept.is_empty() && is_behind_first {
                if piece.records.is_empty() {
                    piece.offset = offset;
                }
                record::append(&mut piece.records, record.channel, record.t_us, kept);
            }
        }
    }
}

/// Goes past a record and returns what of it is in the range. Its lines ascend, so that is one
/// slice.
fn kept<'a>(span: &Span, walk: &mut Walk, record: Record<'a>) -> &'a [u8] {
    let (mut begin, mut end) = (None, 0);
    match record.channel {
        Channel::Out | Channel::Err if span.has_lines => {
            walk.take_lines(record, |line, from, to| {
                if span.wants(line) {
                    begin = begin.or(Some(from));
                    end = to;
                }
            });
        }
        Channel::Out | Channel::Err => {
            walk.take(record);
            (begin, end) = (Some(0), record.bytes.len());
        }
        Channel::System | Channel::Gap => {
            if span.wants_after(walk.next_line()) {
                (begin, end) = (Some(0), record.bytes.len());
            }
            walk.take(record);
        }
    }
    begin.map_or(&[], |begin| &record.bytes[begin..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::line_index::LineIndexer;
    use super::*;

    type Written = (Channel, Vec<u8>);

    fn record() -> impl Strategy<Value = Written> {
        let channel = prop_oneof![
            4 => Just(Channel::Out),
            3 => Just(Channel::Err),
            1 => Just(Channel::System),
        ];
        let byte = prop_oneof![Just(b'\n'), Just(b'a'), Just(b'b')];
        (channel, prop::collection::vec(byte, 0..30))
    }

    fn encode(log: &[Written]) -> Vec<u8> {
        let mut stream = Vec::new();
        for (channel, bytes) in log {
            record::append(&mut stream, *channel, 7, bytes);
        }
        stream
    }

    /// Byte by byte: the bytes of stdout and stderr that are in the lines.
    fn expected(log: &[Written], first: u64, end: u64) -> Vec<(Channel, u8)> {
        let (mut next, mut open, mut kept) = (0, [None, None], Vec::new());
        for (channel, bytes) in log.iter().filter(|(channel, _)| *channel != Channel::System) {
            let open = &mut open[usize::from(*channel == Channel::Err)];
            for byte in bytes {
                let line = *open.get_or_insert_with(|| {
                    next += 1;
                    next - 1
                });
                if *byte == b'\n' {
                    *open = None;
                }
                if (first..end).contains(&line) {
                    kept.push((*channel, *byte));
                }
            }
        }
        kept
    }

    fn count(stream: &[u8]) -> u64 {
        let mut indexer = LineIndexer::default();
        indexer.take(stream);
        indexer.lines()
    }

    /// Asks until nothing is left, as a client does. Real marks are rare; here one stands before
    /// every few records.
    fn ask(stream: &[u8], mut wanted: LogRange, step: usize, most: usize) -> Vec<(Channel, u8)> {
        let mut walk = Walk::default();
        let marks: Vec<Mark> = record::iter(stream)
            .map(|record| {
                let before = walk.mark();
                walk.take(record);
                before
            })
            .step_by(step)
            .collect();
        let mut got = Vec::new();
        loop {
            let span = Span::new(&marks, count(stream), wanted);
            let read = |offset| {
                let rest = &stream[usize::try_from(offset).unwrap()..];
                Ok(rest[..record::valid_prefix(&rest[..rest.len().min(100)])].to_vec())
            };
            let piece = cut(span, most, read).unwrap();
            assert!(piece.records.len() <= most);
            for record in record::iter(&piece.records).filter(|r| r.channel != Channel::System) {
                got.extend(record.bytes.iter().map(|byte| (record.channel, *byte)));
            }
            let Some(next) = piece.next_byte else { return got };
            assert!(next > wanted.first_byte, "no piece is asked for twice");
            wanted.first_byte = next;
            if wanted.last_lines > 0 {
                (wanted.first_line, wanted.lines, wanted.last_lines) =
                    (piece.first_line, wanted.last_lines, 0);
            }
        }
    }

    proptest! {
        #[test]
        fn lines_come_whole_and_once_wherever_marks_and_pieces_are(
            log in prop::collection::vec(record(), 0..40),
            first in 0u64..60,
            lines in 0u64..30,
            step in 1usize..9,
            most in 60usize..500,
        ) {
            let stream = encode(&log);
            let end = if lines == 0 { u64::MAX } else { first + lines };
            let wanted = LogRange { first_line: first, lines, ..LogRange::default() };
            prop_assert_eq!(ask(&stream, wanted, step, most), expected(&log, first, end));
            let last = lines + 1;
            let wanted = LogRange { last_lines: last, ..LogRange::default() };
            let first = count(&stream).saturating_sub(last);
            prop_assert_eq!(ask(&stream, wanted, step, most), expected(&log, first, u64::MAX));
        }
    }

    #[test]
    fn bytes_are_whole_records_and_our_own_words_stand_among_their_lines() {
        let log = [
            (Channel::System, b"begin".to_vec()),
            (Channel::Out, b"one\ntwo\n".to_vec()),
            (Channel::Gap, 5u64.to_le_bytes().to_vec()),
            (Channel::Out, b"three\n".to_vec()),
            (Channel::System, b"end".to_vec()),
        ];
        let stream = encode(&log);
        let piece = |wanted| {
            let span = Span::new(&[Mark::default()], 3, wanted);
            let from = |offset| Ok(stream[usize::try_from(offset).unwrap()..].to_vec());
            cut(span, 1_000, from).unwrap()
        };
        let channels = |piece: &Piece| -> Vec<Channel> {
            record::iter(&piece.records).map(|record| record.channel).collect()
        };
        let second = piece(LogRange { first_line: 1, lines: 1, ..LogRange::default() });
        assert_eq!(channels(&second), [Channel::Out, Channel::Gap]);
        let last = piece(LogRange { last_lines: 1, ..LogRange::default() });
        assert_eq!(channels(&last), [Channel::Out, Channel::System]);
        // The record that holds the first byte, and those that begin within the bytes.
        let bytes = piece(LogRange { first_byte: 30, bytes: 20, ..LogRange::default() });
        assert_eq!((channels(&bytes), bytes.offset), (vec![Channel::Out, Channel::Gap], 22));
    }

    #[test]
    fn a_line_far_behind_the_last_mark_is_found_in_a_few_pieces() {
        let mut stream = Vec::new();
        for _ in 0..640 {
            record::append(&mut stream, Channel::Out, 7, &[b'a'; record::PAYLOAD_BYTES]);
        }
        record::append(&mut stream, Channel::Out, 7, b"\nend\n");
        let mut wanted = LogRange { first_line: 1, lines: 1, ..LogRange::default() };
        let read = |offset| {
            let rest = &stream[usize::try_from(offset).unwrap()..];
            Ok(rest[..record::valid_prefix(&rest[..rest.len().min(1 << 20)])].to_vec())
        };
        for pieces in 1..=3 {
            let piece = cut(Span::new(&[Mark::default()], 2, wanted), 100_000, read).unwrap();
            match piece.next_byte {
                Some(next) => {
                    assert!(piece.records.is_empty() && next > wanted.first_byte);
                    wanted.first_byte = next;
                }
                None => {
                    assert_eq!(record::first(&piece.records).unwrap().bytes, b"end\n");
                    assert_eq!(pieces, 3, "40 MiB, 16 at once");
                    return;
                }
            }
        }
        panic!("it was not found");
    }
}
