//! How values become cells: texts without NUL, structured parts as MessagePack.

use std::borrow::Cow;

use config::Name;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::ReadError;

/// Stands before a character that a TEXT column cannot hold, and before itself.
const ESCAPE: char = '\u{1a}';
/// The version of the packing that the first byte of a packed cell names. Behind it stands the
/// CRC-32C of the body, little-endian: SQLite has no checksums of its own.
const PACKING: u8 = 2;
/// The packing before had no checksum.
const UNCHECKED: u8 = 1;
const HEAD_BYTES: usize = 5;

/// Replaces NUL, which PostgreSQL refuses in a text, so that `unescape` finds it again.
///
/// Different texts stay different, so keys stay unique and can be looked up.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(ESCAPE, "\u{1a}Z").replace('\0', "\u{1a}@"))
}

/// Undoes `escape`.
pub(super) fn unescape(text: String) -> String {
    if !text.contains(ESCAPE) {
        return text;
    }
    text.replace("\u{1a}@", "\0").replace("\u{1a}Z", "\u{1a}")
}

/// Returns a readable copy of bytes; what is not UTF-8 is lost in it.
pub(super) fn display(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

/// Packs a structured value into one cell: version byte, checksum, MessagePack with field names.
///
/// # Panics
/// Never for our rows: they hold nothing that MessagePack cannot express.
pub(super) fn pack<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut cell = vec![PACKING, 0, 0, 0, 0];
    rmp_serde::encode::write_named(&mut cell, value)
        .expect("rows serialize: no maps with failing keys, and a Vec takes every byte");
    let sum = crc32c::crc32c(&cell[HEAD_BYTES..]);
    cell[1..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
    cell
}

/// Unpacks what `pack` made.
pub(super) fn unpack<T: DeserializeOwned>(
    column: &'static str,
    cell: &[u8],
) -> Result<T, ReadError> {
    let body = match cell.split_first() {
        Some((&PACKING, rest)) => match rest.split_first_chunk() {
            Some((sum, body)) if u32::from_le_bytes(*sum) == crc32c::crc32c(body) => body,
            Some(_) | None => return Err(ReadError::new(column, "its checksum is another one")),
        },
        Some((&UNCHECKED, body)) => body,
        Some((version, _)) => {
            return Err(ReadError::new(column, format!("unknown packing {version}")));
        }
        None => return Err(ReadError::new(column, "empty cell")),
    };
    rmp_serde::from_slice(body).map_err(|why| ReadError::new(column, why))
}

/// Reads a name of the configuration.
pub(super) fn name(column: &'static str, text: &str) -> Result<Name, ReadError> {
    Name::parse(text).map_err(|why| ReadError::new(column, why))
}

/// Reads a number into a type that is narrower than the column.
pub(super) fn narrow<T>(column: &'static str, int: i64) -> Result<T, ReadError>
where
    T: TryFrom<i64, Error: std::error::Error + Send + Sync + 'static>,
{
    T::try_from(int).map_err(|why| ReadError::new(column, why))
}

/// Reads a SHA-256.
pub(super) fn digest(column: &'static str, bytes: &[u8]) -> Result<[u8; 32], ReadError> {
    bytes.try_into().map_err(|why: std::array::TryFromSliceError| ReadError::new(column, why))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_comes_back_and_is_stored_without_nul(text in "[\0\u{1a}Z@a]{0,12}|.*") {
            let stored = escape(&text).into_owned();
            prop_assert!(!stored.contains('\0'));
            prop_assert_eq!(unescape(stored), text);
        }
    }

    #[test]
    fn a_cell_of_another_packing_is_an_error() {
        assert!(unpack::<u8>("plan", &[]).is_err());
        assert!(unpack::<u8>("plan", &[9, 1]).is_err());
        assert!(unpack::<u8>("plan", &[PACKING]).is_err());
        assert_eq!(unpack::<u8>("plan", &[UNCHECKED, 7]).unwrap(), 7);
    }

    #[test]
    fn every_changed_bit_of_a_cell_is_found() {
        let cell = pack(&("text".to_owned(), vec![1_u64, 2, 300]));
        unpack::<(String, Vec<u64>)>("plan", &cell).unwrap();
        for bit in 0..cell.len() * 8 {
            let mut cell = cell.clone();
            cell[bit / 8] ^= 1 << (bit % 8);
            assert!(unpack::<(String, Vec<u64>)>("plan", &cell).is_err(), "bit {bit}");
        }
    }
}
