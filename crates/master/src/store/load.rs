//! Everything the engine needs to go on: the living rows.

use engine::Rows;

use super::query::{Query, both};
use super::record::{ReadError, Record};
use super::row::{build, change, command, counter, pending, request, source};
use super::run::Run;
use super::{Store, StoreError};

impl Store {
    /// Returns every living row, in the order of their keys, as the last batch left them.
    ///
    /// # Errors
    /// When the database cannot be read or holds what this program never writes.
    pub async fn load(&self) -> Result<Rows, StoreError> {
        // The writer's connection: nothing is committed between the tables.
        both!(self, db => rows(&mut db.writer.lock().await.connection).await)
    }
}

pub(super) async fn rows<C: Run>(from: &mut C) -> Result<Rows, StoreError> {
    Ok(Rows {
        counters: list(from, "load counters", counter::living(), counter::read).await?,
        changes: list(from, "load changes", change::living(), change::read).await?,
        heads: list(from, "load heads of sources", source::living(), source::read).await?,
        pending: list(from, "load stable timers", pending::living(), pending::read).await?,
        requests: list(from, "load requests", request::living(), request::read).await?,
        builds: list(from, "load builds", build::living(), build::read).await?,
        commands: list(from, "load commands", command::living(), command::read).await?,
    })
}

pub(super) async fn list<C: Run, T>(
    from: &mut C,
    doing: &'static str,
    query: Query<'_>,
    read: fn(&Record) -> Result<T, ReadError>,
) -> Result<Vec<T>, StoreError> {
    let records = from.rows(query).await.map_err(StoreError::query(doing))?;
    records.iter().map(read).collect::<Result<_, _>>().map_err(StoreError::row(doing))
}
