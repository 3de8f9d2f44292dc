//! Writes records to stdout and stderr: each byte once, and never more than fits.
//!
//! Pieces wait here until whoever reads them is ready, so that a full pipe does not make a client
//! deaf to Ctrl-C. The position counts what was taken in: a piece that waits outlives a lost
//! connection, and the master is asked for what comes after it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;

use failpoint::Act;
use proto::message::launch::{Output, Position};
use proto::record::{self, Channel, Record};
use rustix::io::Errno;

use crate::notice;

/// A pipe that is ready takes this much without blocking: `PIPE_BUF`.
const AT_ONCE_BYTES: usize = 4096;

/// What becomes of Yardmaster's own words in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwnWords {
    /// They go to stderr under this name.
    Under(String),
    Hide,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Stdout,
    Stderr,
}

/// Why output of a master was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutputError {
    #[error("output is missing before byte {offset} of part {part}")]
    Hole { part: u32, offset: u64 },
    #[error("the output is damaged after byte {offset} of part {part}")]
    Damaged { part: u32, offset: u64 },
}

/// Output on its way out.
#[derive(Debug)]
pub(crate) struct Printer {
    own_words: OwnWords,
    /// What Yardmaster said last.
    last_word: String,
    position: Position,
    waiting: VecDeque<(Target, Vec<u8>)>,
    /// How much of the first piece that waits is out.
    written: usize,
}

impl Printer {
    pub(crate) fn new(own_words: OwnWords) -> Self {
        let (last_word, position) = (String::new(), Position::default());
        Self { own_words, last_word, position, waiting: VecDeque::new(), written: 0 }
    }

    /// Returns where to go on after a lost connection.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Takes in what is new in a frame; records that came before are left out.
    ///
    /// # Errors
    /// When bytes would be lost: a hole before the frame, or damage in it.
    pub(crate) fn take(&mut self, output: &Output) -> Result<(), OutputError> {
        let mut at = output.position;
        let has_hole = if at.part == self.position.part {
            at.offset > self.position.offset
        } else {
            at.part > self.position.part && at.offset > 0
        };
        if has_hole {
            return Err(OutputError::Hole { part: at.part, offset: at.offset });
        }
        let bytes = output.records.as_ref();
        let begin = at.offset;
        for record in record::iter(bytes) {
            let is_new = (at.part, at.offset) >= (self.position.part, self.position.offset);
            at.offset = at.offset.saturating_add(record.size() as u64);
            if is_new {
                self.add(record);
                self.position = at;
            }
        }
        if at.offset - begin < bytes.len() as u64 {
            return Err(OutputError::Damaged { part: at.part, offset: at.offset });
        }
        Ok(())
    }

    /// Says whether the log has told this already, as its last word.
    pub(crate) fn has_told(&self, reason: &str) -> bool {
        !self.last_word.is_empty() && reason.contains(&self.last_word)
    }

    /// Returns what the next piece waits for, or `None` when everything is out.
    pub(crate) fn waits_for(&self) -> Option<BorrowedFd<'static>> {
        let (target, _) = self.waiting.front()?;
        Some(fd_of(*target))
    }

    /// Writes as much as fits.
    ///
    /// # Errors
    /// When it cannot be written; `BrokenPipe` when nobody reads it any more.
    pub(crate) fn write_some(&mut self) -> io::Result<()> {
        let Some((target, bytes)) = self.waiting.front() else { return Ok(()) };
        let rest = &bytes[self.written..];
        let piece = &rest[..rest.len().min(AT_ONCE_BYTES)];
        match failpoint::around(Act::Print, || rustix::io::write(fd_of(*target), piece)) {
            Ok(count) => self.written += count,
            // Somebody set our output to not block, or it filled up meanwhile.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
        if self.written == bytes.len() {
            self.waiting.pop_front();
            self.written = 0;
        }
        Ok(())
    }

    fn add(&mut self, record: Record<'_>) {
        match record.channel {
            Channel::Out => self.push(Target::Stdout, record.bytes),
            Channel::Err => self.push(Target::Stderr, record.bytes),
            Channel::System => self.say(&String::from_utf8_lossy(record.bytes)),
            Channel::Gap => {
                let count =
                    record.bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                self.say(&format!("{count} bytes of output were left out here"));
            }
        }
    }

    fn say(&mut self, text: &str) {
        match &self.own_words {
            OwnWords::Under(name) => {
                let line = notice::line(name, text);
                self.push(Target::Stderr, line.as_bytes());
                text.trim_end().clone_into(&mut self.last_word);
            }
            OwnWords::Hide => {}
        }
    }

    fn push(&mut self, target: Target, bytes: &[u8]) {
        match self.waiting.back_mut() {
            Some((last, piece)) if *last == target => piece.extend_from_slice(bytes),
            Some(_) | None if bytes.is_empty() => {}
            Some(_) | None => self.waiting.push_back((target, bytes.to_vec())),
        }
    }
}

fn fd_of(target: Target) -> BorrowedFd<'static> {
    match target {
        Target::Stdout => rustix::stdio::stdout(),
        Target::Stderr => rustix::stdio::stderr(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(part: u32, offset: u64, records: &[(Channel, &[u8])]) -> Output {
        let mut bytes = Vec::new();
        for (channel, payload) in records {
            record::append(&mut bytes, *channel, 1, payload);
        }
        Output { position: Position { part, offset }, records: bytes.into() }
    }

    fn waiting(printer: &Printer) -> Vec<(Target, String)> {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        printer.waiting.iter().map(|(target, bytes)| (*target, text(bytes))).collect()
    }

    #[test]
    fn overlapping_records_are_taken_once() {
        let mut printer = Printer::new(OwnWords::Hide);
        let first = frame(0, 0, &[(Channel::Out, b"a"), (Channel::Out, b"b")]);
        printer.take(&first).unwrap();
        printer.take(&frame(0, 0, &[(Channel::Out, b"a")])).unwrap();
        printer.take(&frame(0, 18, &[(Channel::Out, b"b"), (Channel::Err, b"c")])).unwrap();
        printer.take(&frame(1, 0, &[(Channel::Out, b"d")])).unwrap();
        printer.take(&first).unwrap();
        let expected = [(Target::Stdout, "ab"), (Target::Stderr, "c"), (Target::Stdout, "d")];
        assert_eq!(waiting(&printer), expected.map(|(target, text)| (target, text.to_owned())));
        assert_eq!(printer.position(), Position { part: 1, offset: 18 });
    }

    #[test]
    fn a_hole_is_not_passed_over() {
        let mut printer = Printer::new(OwnWords::Hide);
        let hole = Err(OutputError::Hole { part: 0, offset: 18 });
        assert_eq!(printer.take(&frame(0, 18, &[(Channel::Out, b"b")])), hole);
        let hole = Err(OutputError::Hole { part: 1, offset: 18 });
        assert_eq!(printer.take(&frame(1, 18, &[(Channel::Out, b"b")])), hole);
    }

    #[test]
    fn damage_is_not_passed_over() {
        let mut printer = Printer::new(OwnWords::Hide);
        let mut output = frame(0, 0, &[(Channel::Out, b"a"), (Channel::Out, b"b")]);
        output.records.0[20] ^= 1;
        let damaged = Err(OutputError::Damaged { part: 0, offset: 18 });
        assert_eq!(printer.take(&output), damaged);
        assert_eq!(waiting(&printer), [(Target::Stdout, "a".to_owned())]);
    }

    #[test]
    fn our_own_words_carry_a_name_or_are_hidden() {
        let own = frame(
            0,
            0,
            &[(Channel::System, b"x\x1b[m"), (Channel::Gap, &[7, 0, 0, 0, 0, 0, 0, 0])],
        );
        let mut hidden = Printer::new(OwnWords::Hide);
        hidden.take(&own).unwrap();
        assert_eq!(waiting(&hidden), []);
        let mut shown = Printer::new(OwnWords::Under("hello".to_owned()));
        shown.take(&own).unwrap();
        let text = "hello: x[m\nhello: 7 bytes of output were left out here\n";
        assert_eq!(waiting(&shown), [(Target::Stderr, text.to_owned())]);
    }
}
