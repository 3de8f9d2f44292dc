//! How values become cells: texts without NUL, structured parts as MessagePack.

use std::borrow::Cow;

use config::Name;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::ReadError;

/// Stands before a character that a TEXT column cannot hold, and before itself.
const ESCAPE: char = '\u{1a}';
/// The version of the packing that the first byte of a packed cell names.
const PACKING: u8 = 1;

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

/// Packs a structured value into one cell: a version byte, then MessagePack with field names.
///
/// # Panics
/// Never for our rows: they hold nothing that MessagePack cannot express.
pub(super) fn pack<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut cell = vec![PACKING];
    rmp_serde::encode::write_named(&mut cell, value)
        .expect("rows serialize: no maps with failing keys, and a Vec takes every byte");
    cell
}

/// Unpacks what `pack` made.
pub(super) fn unpack<T: DeserializeOwned>(
    column: &'static str,
    cell: &[u8],
) -> Result<T, ReadError> {
    match cell.split_first() {
        Some((&PACKING, body)) => {
            rmp_serde::from_slice(body).map_err(|why| ReadError::new(column, why))
        }
        Some((version, _)) => Err(ReadError::new(column, format!("unknown packing {version}"))),
        None => Err(ReadError::new(column, "empty cell")),
    }
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
    }
}
