//! What a worker may send as a log, and what a client may ask of it, as a target for a fuzzer.

use proto::message::question::LogRange;
use proto::record;

use super::line_index::LineIndexer;
use super::range::{Span, cut};

const MOST_BYTES: usize = 128 * 1024;

/// Any range of any log ends, and is whole records within the limit.
///
/// The first 40 bytes are the five numbers of the range; the rest is the log.
pub fn log_range(input: &[u8]) {
    let Some((numbers, log)) = input.split_first_chunk::<40>() else { return };
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&numbers[8 * at..8 * at + 8]);
        u64::from_le_bytes(bytes)
    };
    let mut wanted = LogRange {
        first_line: number(0),
        lines: number(1),
        last_lines: number(2),
        first_byte: number(3),
        bytes: number(4),
    };
    let log = &log[..record::valid_prefix(log)];
    let mut indexer = LineIndexer::default();
    indexer.take(log);
    loop {
        let span = Span::new(indexer.marks(), indexer.lines(), wanted);
        let read = |offset: u64| {
            let offset = usize::try_from(offset).expect("it is within the log");
            let piece = &log[offset..(offset + MOST_BYTES).min(log.len())];
            Ok(piece[..record::valid_prefix(piece)].to_vec())
        };
        let piece = cut(span, MOST_BYTES, read).expect("the log is in memory");
        assert!(piece.records.len() <= MOST_BYTES);
        assert_eq!(record::valid_prefix(&piece.records), piece.records.len());
        let Some(next) = piece.next_byte else { return };
        assert!(next > wanted.first_byte || piece.records.is_empty());
        if next <= wanted.first_byte {
            return;
        }
        wanted.first_byte = next;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn ranges_of_the_corpus() {
        corpus::replay("log_range", super::log_range);
    }
}
