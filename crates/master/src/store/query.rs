//! One text per statement for both databases, with its values.
//!
//! `query!` counts `$N` against the values when the crate is compiled: a value that is missing
//! is silently NULL on SQLite. `both!` compiles one body for the connections of either.

use std::borrow::Cow;

use super::codec;

/// A statement with the values of its placeholders.
#[derive(Debug)]
pub(super) struct Query<'q> {
    pub(super) text: Cow<'static, str>,
    pub(super) cells: Vec<Cell<'q>>,
}

/// One value; the variant is the column's type, so NULL has one too.
#[derive(Debug)]
pub(super) enum Cell<'q> {
    Int(Option<i64>),
    Text(Option<Cow<'q, str>>),
    Bytes(Option<Cow<'q, [u8]>>),
}

/// Makes a `Query` of a constant text and as many values as it has placeholders.
macro_rules! query {
    ($text:expr $(, $cell:expr)* $(,)?) => {{
        const TEXT: &str = $text;
        const CELLS: &[&str] = &[$(stringify!($cell)),*];
        const _: () = assert!(
            $crate::store::query::placeholders(TEXT) == CELLS.len(),
            "as many values as placeholders"
        );
        $crate::store::query::Query {
            text: std::borrow::Cow::Borrowed(TEXT),
            cells: vec![$($crate::store::query::Cell::from($cell)),*],
        }
    }};
}
pub(super) use query;

/// Runs one body with either database bound to the name.
macro_rules! both {
    ($store:expr, $db:ident => $body:expr) => {
        match $store {
            $crate::store::Store::Sqlite($db) => $body,
            $crate::store::Store::Postgres($db) => $body,
        }
    };
}
pub(super) use both;

/// Returns N where the text holds exactly `$1` to `$N`, each at least once.
///
/// # Panics
/// When a number is left out or above 62; only called while compiling.
pub(super) const fn placeholders(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut seen, mut highest, mut at) = (0_u64, 0_usize, 0);
    while at < bytes.len() {
        at += 1;
        if bytes[at - 1] != b'$' {
            continue;
        }
        let mut number = 0_usize;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            number = number * 10 + (bytes[at] - b'0') as usize;
            at += 1;
        }
        assert!(number >= 1 && number <= 62, "placeholders are $1 to $62");
        seen |= 1 << number;
        if number > highest {
            highest = number;
        }
    }
    assert!(seen + 2 == 1 << (highest + 1), "no number is left out");
    highest
}

impl From<i64> for Cell<'_> {
    fn from(int: i64) -> Self {
        Self::Int(Some(int))
    }
}

impl From<Option<i64>> for Cell<'_> {
    fn from(int: Option<i64>) -> Self {
        Self::Int(int)
    }
}

impl<'q> From<&'q str> for Cell<'q> {
    fn from(text: &'q str) -> Self {
        Self::Text(Some(codec::escape(text)))
    }
}

impl<'q> From<Option<&'q str>> for Cell<'q> {
    fn from(text: Option<&'q str>) -> Self {
        Self::Text(text.map(codec::escape))
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(Cow::Owned(codec::escape(&text).into_owned())))
    }
}

impl From<Option<String>> for Cell<'_> {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Text(None), Self::from)
    }
}

impl<'q> From<&'q [u8]> for Cell<'q> {
    fn from(bytes: &'q [u8]) -> Self {
        Self::Bytes(Some(Cow::Borrowed(bytes)))
    }
}

impl From<Vec<u8>> for Cell<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Some(Cow::Owned(bytes)))
    }
}

impl From<Option<Vec<u8>>> for Cell<'_> {
    fn from(bytes: Option<Vec<u8>>) -> Self {
        Self::Bytes(bytes.map(Cow::Owned))
    }
}

#[cfg(test)]
mod tests {
    use super::placeholders;

    #[test]
    fn placeholders_are_counted_in_any_order_and_repeated() {
        assert_eq!(placeholders("SELECT 1"), 0);
        assert_eq!(placeholders("a = $2 AND b = $1 OR c = $2"), 2);
        assert_eq!(placeholders("$1 $2 $3 $4 $5 $6 $7 $8 $9 $10"), 10);
    }

    #[test]
    #[should_panic(expected = "no number is left out")]
    fn a_placeholder_that_is_left_out_is_found() {
        placeholders("a = $1 AND b = $3");
    }
}
