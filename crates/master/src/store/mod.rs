//! The engine's memory on disk, in SQLite or PostgreSQL.
//!
//! The engine decides in memory and hands over rows; `commit` writes all rows of a batch in one
//! transaction, which also moves `meta.batch` from n-1 to n under the epoch of this start. So a
//! master that was deposed writes nothing, and the outcome of a batch whose connection was lost
//! is read from the database later. `load` returns every living row; the finished past is only
//! here and is asked for by the questions in `row/`.
//!
//! **Invariants**
//! - All SQL lives in this module. One text per statement, in the dialect both databases accept;
//!   only the tables are declared twice, in `migrations/`.
//! - A commit that returned is on disk: `synchronous=FULL`, `synchronous_commit=on`.
//! - One connection writes; readers see committed state only.
//! - What was written comes back exactly: any text (`codec::escape`), any bytes, any number.
//! - There are no foreign keys: what refers to what is decided by the engine.
//!
//! To add a kind of row: its table in both `migrations/`, its file in `row/`, its line in
//! `row::write` and in `load`, its generator in `tests/arbitrary.rs`.

pub mod backup;
mod codec;
mod commit;
mod error;
mod given_out;
mod load;
mod loan;
mod merge;
mod meta;
mod migrate;
mod patience;
mod postgres;
mod query;
mod record;
pub mod restore;
mod row;
mod run;
mod sanity;
mod sqlite;
mod swap;
#[cfg(test)]
pub(crate) mod tests;
mod url;
pub mod verify;

use std::fmt;

use engine::Identity;
use sqlx::Connection as _;
use tokio::sync::Mutex;

pub use commit::Committed;
pub use error::{CommitError, StoreError};
pub use record::ReadError;
pub use row::{LogRow, Revision, RevisionFile, revision_of};
pub use url::{BadStateUrl, StateUrl};

use loan::Loan;
use postgres::Postgres;
use query::{Query, both};
use record::Record;
use sqlite::Sqlite;

/// An open database. Its methods may be called from several tasks; writes queue up.
#[derive(Debug)]
pub enum Store {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// What the shell draws for a start.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Random; becomes the database's incarnation if the database is new.
    pub incarnation: u64,
    /// µs since 1970.
    pub wall_us: i64,
}

/// Where a database comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A master wrote it last.
    Own,
    /// It may be a backup, and is about to be adopted.
    Restored,
}

/// A database opened for the one master that may write to it.
#[derive(Debug)]
pub struct Opened {
    pub store: Store,
    /// With the epoch of this start, which is already durable.
    pub identity: Identity,
    /// The number of the last committed batch.
    pub batch: i64,
}

/// The one connection that writes, and what it knows of `meta`.
struct Writer<C> {
    connection: C,
    epoch: i64,
    batch: i64,
    /// A write was not seen to its end: the connection is replaced before the next one.
    is_in_doubt: bool,
}

impl<C> fmt::Debug for Writer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer {{ epoch: {}, batch: {} }}", self.epoch, self.batch)
    }
}

impl<C> Writer<C> {
    fn new(connection: C, meta: &meta::Meta) -> Mutex<Self> {
        let (epoch, batch) = (meta.epoch, meta.batch);
        Mutex::new(Self { connection, epoch, batch, is_in_doubt: false })
    }
}

impl Store {
    /// Opens the database, brings its tables up to date and raises its epoch.
    ///
    /// # Errors
    /// When another master holds it, a newer version wrote it, it is damaged, or it lies where
    /// it cannot be safe. Each says what to do.
    pub async fn open(url: &StateUrl, start: Start) -> Result<Opened, StoreError> {
        Self::open_of(url, start, Origin::Own).await
    }

    async fn open_of(url: &StateUrl, start: Start, origin: Origin) -> Result<Opened, StoreError> {
        let (store, meta) = match url {
            StateUrl::Sqlite(path) => {
                let (sqlite, meta) = Sqlite::open(path, start, origin).await?;
                (Self::Sqlite(sqlite), meta)
            }
            StateUrl::Postgres(options) => {
                let (postgres, meta) = Postgres::open(options, url, start).await?;
                (Self::Postgres(postgres), meta)
            }
        };
        let identity = Identity { incarnation: meta.incarnation, epoch: meta.epoch };
        Ok(Opened { store, identity, batch: meta.batch })
    }

    /// Closes all connections and lets go of the database.
    pub async fn close(self) {
        both!(self, db => {
            db.readers.close().await;
            if let Err(error) = db.writer.into_inner().connection.close().await {
                tracing::warn!("close the database: {error:#}");
            }
        });
    }

    /// Asks a question of committed state.
    async fn ask<T>(
        &self,
        doing: &'static str,
        query: Query<'_>,
        read: fn(&Record) -> Result<T, ReadError>,
    ) -> Result<Vec<T>, StoreError> {
        let records = both!(self, db => {
            let reader = db.readers.acquire().await.map_err(patience::in_time);
            let reader = Loan::new(reader.map_err(StoreError::query(doing))?);
            reader.rows(query).await.map_err(StoreError::query(doing))?
        });
        records.iter().map(read).collect::<Result<_, _>>().map_err(StoreError::row(doing))
    }

    /// Asks a question that has at most one answer.
    async fn ask_one<T>(
        &self,
        doing: &'static str,
        query: Query<'_>,
        read: fn(&Record) -> Result<T, ReadError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.ask(doing, query, read).await?.pop())
    }
}
