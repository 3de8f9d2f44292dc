//! Writes records to stdout and stderr, each byte once.

use std::io::{self, Write as _};

use proto::message::launch::{Output, Position};
use proto::record::{self, Channel};

/// Where the output is that was already written.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    position: Position,
}

/// What becomes of Yardmaster's own words in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnWords {
    Show,
    Hide,
}

impl Printer {
    /// Returns where to go on after a lost connection.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Writes what is new in a frame; records that were written before are left out.
    ///
    /// # Errors
    /// When whoever reads our output is gone.
    pub(crate) fn print(&mut self, output: &Output, own: OwnWords) -> io::Result<()> {
        let mut at = output.position;
        for record in record::iter(output.records.as_ref()) {
            let is_new = (at.part, at.offset) >= (self.position.part, self.position.offset);
            at.offset += record.size() as u64;
            if is_new {
                write(record, own)?;
                self.position = at;
            }
        }
        io::stdout().flush()
    }
}

fn write(record: record::Record<'_>, own: OwnWords) -> io::Result<()> {
    match record.channel {
        Channel::Out => io::stdout().write_all(record.bytes),
        Channel::Err => {
            // What was written to stdout before comes out before.
            io::stdout().flush()?;
            io::stderr().write_all(record.bytes)
        }
        Channel::System if own == OwnWords::Show => {
            let text = String::from_utf8_lossy(record.bytes);
            writeln!(io::stderr(), "[{}]", text.trim_end())
        }
        Channel::System => Ok(()),
        Channel::Gap => {
            let count =
                record.bytes.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            writeln!(io::stderr(), "[{count} bytes of output were left out here]")
        }
    }
}
