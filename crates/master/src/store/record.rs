//! A row as a database gave it, read by the names of its columns.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::codec;

/// A row as either database gave it.
pub(super) enum Record {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A column does not hold what this program writes there.
#[derive(Debug, thiserror::Error)]
#[error("read column `{column}`")]
pub struct ReadError {
    column: &'static str,
    #[source]
    why: Box<dyn std::error::Error + Send + Sync>,
}

impl ReadError {
    pub(super) fn new(
        column: &'static str,
        why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { column, why: why.into() }
    }
}

/// Declares the readers of a column type, plain and nullable.
macro_rules! readers {
    ($($name:ident, $name_or_null:ident: $type:ty, $decode:expr;)+) => {
        impl Record {
            $(pub(super) fn $name(&self, column: &'static str) -> Result<$type, ReadError> {
                match self {
                    Self::Sqlite(row) => row.try_get(column),
                    Self::Postgres(row) => row.try_get(column),
                }
                .map($decode)
                .map_err(|why| ReadError::new(column, why))
            }

            pub(super) fn $name_or_null(
                &self,
                column: &'static str,
            ) -> Result<Option<$type>, ReadError> {
                match self {
                    Self::Sqlite(row) => row.try_get(column),
                    Self::Postgres(row) => row.try_get(column),
                }
                .map(|value: Option<$type>| value.map($decode))
                .map_err(|why| ReadError::new(column, why))
            })+
        }
    };
}

readers! {
    int, int_or_null: i64, std::convert::identity;
    text, text_or_null: String, codec::unescape;
    bytes, bytes_or_null: Vec<u8>, std::convert::identity;
}
