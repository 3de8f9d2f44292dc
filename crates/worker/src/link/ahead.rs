//! Records that were read before their turn: a thread is asked once for several frames.

use std::io;

use proto::{limits, record};
use shim::OutputReader;

use super::streams::Turn;

/// Read at once of a log that is sent alone, in bytes.
const READ_BYTES: usize = 4 * limits::STREAM_DATA_BYTES;

/// What was read of one stream and not yet sent. There is one for the connection, so that it takes
/// no memory for each stream.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    stream: u32,
    /// Record-stream offset of the first byte that was not taken.
    offset: u64,
    records: Vec<u8>,
    /// How much of them was taken.
    taken: usize,
}

impl Ahead {
    /// Reads from a log on: more than for one frame where no other stream has its turn next.
    pub(super) fn read(reader: &mut OutputReader, turn: Turn, is_alone: bool) -> io::Result<Self> {
        let most = if is_alone { READ_BYTES } else { turn.most };
        let records = reader.read_at(turn.offset, most)?;
        Ok(Self { stream: turn.stream, offset: turn.offset, records, taken: 0 })
    }

    /// Takes whole records for one frame, where they are those of this turn.
    pub(super) fn take(&mut self, turn: Turn) -> Option<Vec<u8>> {
        let rest = &self.records[self.taken..];
        if (self.stream, self.offset) != (turn.stream, turn.offset) || rest.is_empty() {
            return None;
        }
        let mut size = 0;
        for record in record::iter(rest) {
            if size > 0 && size + record.size() > turn.most {
                break;
            }
            size += record.size();
        }
        let piece = rest[..size].to_vec();
        self.taken += size;
        self.offset += size as u64;
        if self.taken == self.records.len() {
            self.records = Vec::new();
            self.taken = 0;
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attempt::CommandId;
    use proto::record::Channel;

    #[test]
    fn pieces_are_whole_records_in_their_order_and_of_their_stream_alone() {
        let mut records = Vec::new();
        for size in [10, 20_000, 50_000, 65_536, 3] {
            record::append(&mut records, Channel::Out, 1, &vec![b'x'; size]);
        }
        let mut ahead = Ahead { stream: 3, offset: 100, records: records.clone(), taken: 0 };
        let command = CommandId { incarnation: 1, counter: 1 };
        let turn =
            |stream, offset| Turn { stream, command, offset, most: 64 * 1024, is_due: false };
        assert_eq!(ahead.take(turn(5, 100)), None, "another stream");
        assert_eq!(ahead.take(turn(3, 0)), None, "another place");
        let (mut got, mut sizes) = (Vec::new(), Vec::new());
        while let Some(piece) = ahead.take(turn(3, 100 + got.len() as u64)) {
            assert_eq!(record::valid_prefix(&piece), piece.len());
            sizes.push(piece.len());
            got.extend(piece);
        }
        assert!(got == records);
        assert_eq!(sizes, [20_044, 50_017, 65_553, 20]);
    }
}
