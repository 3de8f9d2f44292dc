//! How long a database server is waited for: it may stop answering without closing a connection.
//!
//! What was not answered in time is in doubt, as after a lost connection. SQLite needs none of
//! this: its lock has a time limit of its own, and nothing else of it is elsewhere.

use std::io;
use std::time::Duration;

/// For a connection to be made.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// For the answer to one statement.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// For a change of the schema, which may have to rewrite a table.
pub(super) const MIGRATION: Duration = Duration::from_secs(3_600);

/// Waits for a server, but not longer than this.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_late| {
        let what = format!("the server did not answer within {} s", limit.as_secs());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, what)))
    })
}

/// Says what it means that a pool had no connection in time.
pub(super) fn in_time(error: sqlx::Error) -> sqlx::Error {
    if !matches!(error, sqlx::Error::PoolTimedOut) {
        return error;
    }
    let what = "the database did not answer in time";
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, what))
}

/// Waits for a database in this process.
pub(super) async fn for_ever<T>(
    _limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    work.await
}
