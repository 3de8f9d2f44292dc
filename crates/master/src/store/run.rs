//! What both databases do alike: execute a `Query`.

use std::time::Duration;

use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, PgConnection, SqliteConnection};

use super::patience;
use super::query::{Cell, Query};
use super::record::Record;

/// Prepared statements kept by a connection: every text, and the merged ones of every table.
pub(super) const STATEMENTS: usize = 250;

/// What the store asks of a connection. Implemented for the two by one macro; it exists so that
/// the bodies of `both!` can name it, not to be implemented again.
pub(super) trait Run {
    /// Begins a transaction that writes.
    const BEGIN: &'static str;
    /// Whether one text may hold several statements with values.
    const JOINS: bool;
    /// Executes several statements without values, in one round trip, and returns their rows.
    async fn script(&mut self, text: &str) -> sqlx::Result<Vec<Record>> {
        self.script_within(patience::ANSWER, text).await
    }
    /// The same with another limit; only a server has one.
    async fn script_within(&mut self, limit: Duration, text: &str) -> sqlx::Result<Vec<Record>>;
    /// Executes a statement and returns how many rows it touched.
    async fn run(&mut self, query: Query<'_>) -> sqlx::Result<u64>;
    /// Executes a question and returns all rows.
    async fn rows(&mut self, query: Query<'_>) -> sqlx::Result<Vec<Record>>;
}

macro_rules! run_on {
    (
        $connection:ty, $begin:literal, $joins:literal, $arguments:ty, $record:path,
        $within:path
    ) => {
        impl Run for $connection {
            const BEGIN: &'static str = $begin;
            const JOINS: bool = $joins;

            async fn script_within(
                &mut self,
                limit: Duration,
                text: &str,
            ) -> sqlx::Result<Vec<Record>> {
                let work = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(self);
                let rows = $within(limit, work).await?;
                Ok(rows.into_iter().map($record).collect())
            }

            async fn run(&mut self, query: Query<'_>) -> sqlx::Result<u64> {
                #[cfg(test)]
                super::tests::plans::record(&query.text);
                let arguments = arguments::<$arguments>(&query.cells)?;
                let work = sqlx::query_with(AssertSqlSafe(query.text), arguments).execute(self);
                Ok($within(patience::ANSWER, work).await?.rows_affected())
            }

            async fn rows(&mut self, query: Query<'_>) -> sqlx::Result<Vec<Record>> {
                #[cfg(test)]
                super::tests::plans::record(&query.text);
                let arguments = arguments::<$arguments>(&query.cells)?;
                let work = sqlx::query_with(AssertSqlSafe(query.text), arguments).fetch_all(self);
                let rows = $within(patience::ANSWER, work).await?;
                Ok(rows.into_iter().map($record).collect())
            }
        }
    };
}

run_on!(
    SqliteConnection,
    "BEGIN IMMEDIATE",
    true,
    SqliteArguments,
    Record::Sqlite,
    patience::for_ever
);
run_on!(PgConnection, "BEGIN", false, PgArguments, Record::Postgres, patience::within);

fn arguments<A>(cells: &[Cell<'_>]) -> sqlx::Result<A>
where
    A: sqlx::Arguments,
    Option<i64>: for<'q> sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database>,
    for<'q> Option<&'q str>: sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database>,
    for<'q> Option<&'q [u8]>: sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database>,
{
    let mut arguments = A::default();
    arguments.reserve(cells.len(), 0);
    for cell in cells {
        match cell {
            Cell::Int(int) => arguments.add(*int),
            Cell::Text(text) => arguments.add(text.as_deref()),
            Cell::Bytes(bytes) => arguments.add(bytes.as_deref()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
