//! Log records, as the supervisor writes them. The wire has the same format on purpose: a log is
//! copied, never translated.
//!
//! Layout, little-endian: `channel u8, t_us i64, len u32, crc32c u32, bytes`; the checksum
//! covers everything but itself. A log is a plain sequence of records; an offset into it is a
//! count of bytes from the start of the first record.

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 17;
/// Largest payload of one record, in bytes.
pub const PAYLOAD_BYTES: usize = 64 * 1024;

/// Which stream of the command a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Out,
    Err,
    /// Words of Yardmaster itself about the command.
    System,
    /// Bytes that were dropped; the payload is their count as `u64`.
    Gap,
}

impl Channel {
    /// Returns the number in the record header.
    pub fn number(self) -> u8 {
        match self {
            Self::Out => 1,
            Self::Err => 2,
            Self::System => 3,
            Self::Gap => 4,
        }
    }

    /// Reads the number of a record header.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Out, Self::Err, Self::System, Self::Gap].into_iter().find(|c| c.number() == number)
    }
}

/// One record, borrowed from the bytes it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub channel: Channel,
    /// Wall clock when the bytes were read, in µs since 1970.
    pub t_us: i64,
    pub bytes: &'a [u8],
}

/// Why the bytes at a place are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the record is cut short")]
    Torn,
    #[error("the record is damaged")]
    Damaged,
}

impl Record<'_> {
    /// Returns the size of the record with its header, in bytes.
    pub fn size(&self) -> usize {
        HEADER_BYTES + self.bytes.len()
    }
}

/// Appends one record to `out`. Payloads are at most `PAYLOAD_BYTES`; longer ones are the
/// caller's to split.
pub fn append(out: &mut Vec<u8>, channel: Channel, t_us: i64, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let start = out.len();
    out.push(channel.number());
    out.extend_from_slice(&t_us.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&out[start..]), bytes);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads the record at the start of `bytes`.
///
/// # Errors
/// `Torn` where more bytes could complete it, `Damaged` where none can.
pub fn first(bytes: &[u8]) -> Result<Record<'_>, RecordError> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Err(RecordError::Torn) };
    let number = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let length = number(9) as usize;
    let Some(channel) = Channel::from_number(header[0]) else { return Err(RecordError::Damaged) };
    if length > PAYLOAD_BYTES {
        return Err(RecordError::Damaged);
    }
    let Some(payload) = bytes.get(HEADER_BYTES..HEADER_BYTES + length) else {
        return Err(RecordError::Torn);
    };
    let sum = crc32c::crc32c_append(crc32c::crc32c(&header[..13]), payload);
    if sum != number(13) {
        return Err(RecordError::Damaged);
    }
    let mut t_us = [0; 8];
    t_us.copy_from_slice(&header[1..9]);
    Ok(Record { channel, t_us: i64::from_le_bytes(t_us), bytes: payload })
}

/// Iterates over the whole records at the start of `bytes`, stopping at the first torn or
/// damaged one.
pub fn iter(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let record = first(rest).ok()?;
        rest = &rest[record.size()..];
        Some(record)
    })
}

/// Returns the length of the prefix of `bytes` that is whole, undamaged records.
pub fn valid_prefix(bytes: &[u8]) -> usize {
    iter(bytes).map(|record| record.size()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_cut_leaves_a_prefix_of_whole_records(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            cut in 0usize..400,
        ) {
            let mut log = Vec::new();
            for payload in &payloads {
                append(&mut log, Channel::Out, 7, payload);
            }
            let cut = cut.min(log.len());
            let whole: Vec<_> = iter(&log[..cut]).map(|r| r.bytes.to_vec()).collect();
            prop_assert_eq!(&whole[..], &payloads[..whole.len()]);
            prop_assert!(cut - valid_prefix(&log[..cut]) < HEADER_BYTES + 40);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(valid_prefix(&noise) <= noise.len());
        }
    }

    #[test]
    fn a_flipped_bit_is_seen() {
        let mut log = Vec::new();
        append(&mut log, Channel::Err, 1, b"hello");
        log[HEADER_BYTES] ^= 1;
        assert_eq!(first(&log), Err(RecordError::Damaged));
    }
}
