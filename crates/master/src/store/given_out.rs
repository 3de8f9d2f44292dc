//! What a database has given out: a restored one that takes its place begins beyond that.
//!
//! A backup knows nothing of what came after it. The gap that a restore leaves is enough for what
//! was given out since, but the same backup may be restored twice, and then both would begin at
//! the same place; and of an app that is newer than the backup it has no number at all.

use std::path::Path;

use engine::row::Counter;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::load::list;
use super::query::{Query, query};
use super::row::counter;
use super::{StoreError, meta};

/// Nothing, where there is no database, or one that cannot be read.
#[derive(Debug, Default)]
pub(super) struct GivenOut {
    epoch: i64,
    counters: Vec<Counter>,
}

impl GivenOut {
    /// Reads it from an SQLite database that no master has open.
    pub(super) async fn of(database: &Path) -> Self {
        Self::read(database).await.unwrap_or_else(|error| {
            tracing::debug!("nothing is known of the database before: {error:#}");
            Self::default()
        })
    }

    async fn read(database: &Path) -> Result<Self, StoreError> {
        const DOING: &str = "read what the database before has given out";
        let options = SqliteConnectOptions::new().filename(database).read_only(true);
        let connection = options.disable_statement_logging().connect().await;
        let mut connection = connection.map_err(StoreError::query(DOING))?;
        let counters = list(&mut connection, DOING, counter::living(), counter::read).await?;
        let epoch = meta::get(&mut connection).await?.epoch;
        connection.close().await.map_err(StoreError::query(DOING))?;
        Ok(Self { epoch, counters })
    }

    /// Returns what lifts a database beyond it, in the transaction that leaves its past behind.
    pub(super) fn exceed(&self) -> Vec<Query<'_>> {
        let mut statements = vec![query!(
            "UPDATE meta SET epoch = $1 WHERE epoch < $1",
            self.epoch.saturating_add(engine::GAP)
        )];
        statements.extend(self.counters.iter().map(|Counter { name, value }| {
            query!(
                "INSERT INTO counter (name, value) VALUES ($1, $2) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value \
                 WHERE counter.value < excluded.value",
                name.as_str(),
                value.saturating_add(engine::GAP)
            )
        }));
        statements
    }
}
