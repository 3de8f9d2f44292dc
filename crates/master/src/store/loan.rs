//! A reader on loan from its pool: it goes back only where its answer came.
//!
//! A connection whose answer did not come in time, or whose asker left, would be waited for by
//! the pool before anybody else gets its place.

use sqlx::pool::PoolConnection;

use super::error::Meaning;
use super::query::Query;
use super::record::Record;
use super::run::Run;

pub(super) struct Loan<DB: sqlx::Database>(Option<PoolConnection<DB>>);

impl<DB: sqlx::Database> Loan<DB>
where
    DB::Connection: Run,
{
    pub(super) fn new(connection: PoolConnection<DB>) -> Self {
        Self(Some(connection))
    }

    /// Executes a question and gives the reader back.
    pub(super) async fn rows(mut self, query: Query<'_>) -> sqlx::Result<Vec<Record>> {
        let Some(reader) = &mut self.0 else { return Err(sqlx::Error::PoolClosed) };
        let rows = reader.rows(query).await;
        if !rows.as_ref().is_err_and(|error| Meaning::of(error).leaves_doubt()) {
            drop(self.0.take());
        }
        rows
    }
}

impl<DB: sqlx::Database> Drop for Loan<DB> {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}
