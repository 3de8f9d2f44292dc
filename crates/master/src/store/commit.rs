//! A batch of rows in one transaction, fenced by the epoch.

use std::collections::HashSet;
use std::time::Duration;

use engine::Write;
use failpoint::Act;

use super::error::Meaning;
use super::query::{Query, both, query};
use super::row::{self, Key};
use super::run::Run;
use super::{CommitError, Store, StoreError, Writer, meta};

/// Pauses before a transaction that met another one is tried again.
const CONFLICT_PAUSES_MS: [u64; 3] = [5, 20, 80];

/// The batch is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its number.
    pub batch: i64,
}

impl Store {
    /// Writes the rows of a batch, all or nothing; of several to one key the last counts.
    /// An empty batch takes no number.
    ///
    /// Not cancel-safe: a call that is dropped leaves the outcome open, as `Unknown` does.
    ///
    /// # Errors
    /// Each variant of `CommitError` says what is in the database and what to do.
    pub async fn commit(&self, writes: &[Write]) -> Result<Committed, CommitError> {
        let writes = last_of_each_key(writes);
        both!(self, db => db.writer.lock().await.commit(&writes).await)
    }

    /// Reads the number of the last committed batch, over a new connection if the old one was
    /// lost. After it returned, batches can be committed again.
    ///
    /// # Errors
    /// `Deposed` where another master took over; otherwise the database cannot be reached yet.
    pub async fn batch_now(&self) -> Result<i64, StoreError> {
        both!(self, db => {
            let mut writer = db.writer.lock().await;
            if writer.is_in_doubt {
                db.relink(&mut writer).await?;
            }
            writer.settle().await?;
            Ok(writer.batch)
        })
    }

    /// Executes statements in one transaction that belongs to no batch.
    pub(super) async fn write(
        &self,
        doing: &'static str,
        statements: Vec<Query<'_>>,
    ) -> Result<(), StoreError> {
        both!(self, db => {
            let mut writer = db.writer.lock().await;
            if writer.is_in_doubt {
                db.relink(&mut writer).await?;
                writer.settle().await?;
            }
            writer.write(doing, statements).await
        })
    }
}

impl<C: Run> Writer<C> {
    async fn commit(&mut self, writes: &[&Write]) -> Result<Committed, CommitError> {
        if writes.is_empty() {
            return Ok(Committed { batch: self.batch });
        }
        let batch = self.batch + 1;
        if self.is_in_doubt {
            return Err(CommitError::Unknown { batch, source: sqlx::Error::WorkerCrashed });
        }
        // Stays so if this future is dropped half way.
        self.is_in_doubt = true;
        let outcome = self.commit_or_retry(batch, writes).await;
        self.is_in_doubt = match &outcome {
            Ok(true) => {
                self.batch = batch;
                false
            }
            Ok(false) => false,
            Err(error) => Meaning::of(error).leaves_doubt(),
        };
        match outcome {
            Ok(true) => Ok(Committed { batch }),
            Ok(false) => Err(CommitError::Deposed),
            Err(source) => Err(CommitError::new(batch, source)),
        }
    }

    async fn commit_or_retry(&mut self, batch: i64, writes: &[&Write]) -> sqlx::Result<bool> {
        for pause_ms in CONFLICT_PAUSES_MS {
            match self.commit_once(batch, writes).await {
                Err(error) if Meaning::of(&error) == Meaning::Conflict => {
                    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                }
                ending => return ending,
            }
        }
        self.commit_once(batch, writes).await
    }

    /// `false` where the epoch or the batch before is not ours.
    async fn commit_once(&mut self, batch: i64, writes: &[&Write]) -> sqlx::Result<bool> {
        let rows = Query::merge(writes.iter().map(|write| row::write(write)).collect());
        if C::JOINS && Query::are_few(&rows) {
            return self.commit_whole(batch, rows).await;
        }
        let written = self.write_batch(batch, rows).await;
        end(&mut self.connection, written, Act::BatchCommit).await
    }

    /// Executes a whole transaction as one text: each handing over costs as much as a small batch.
    async fn commit_whole(&mut self, batch: i64, rows: Vec<Query<'_>>) -> sqlx::Result<bool> {
        let begin = Query { text: C::BEGIN.into(), cells: Vec::new() };
        let head = [begin, meta::batch_move(self.epoch, batch)];
        let whole = Query::join(head.into_iter().chain(rows).chain([query!("COMMIT")]));
        failpoint::before(Act::BatchCommit);
        let done = self.connection.run(whole).await;
        failpoint::after(Act::BatchCommit);
        let Err(error) = done else { return Ok(true) };
        roll_back(&mut self.connection, &error).await;
        let is_refused = Meaning::of(&error) == Meaning::Refused;
        if is_refused && !meta::is_next(&mut self.connection, self.epoch, batch).await? {
            return Ok(false);
        }
        Err(error)
    }

    async fn write_batch(&mut self, batch: i64, rows: Vec<Query<'_>>) -> sqlx::Result<bool> {
        if !meta::batch_begin(&mut self.connection, self.epoch, batch).await? {
            return Ok(false);
        }
        for statement in rows {
            self.connection.run(statement).await?;
        }
        Ok(true)
    }

    /// Learns the number of the last batch after a doubt.
    async fn settle(&mut self) -> Result<(), StoreError> {
        let settled = meta::settled(&mut self.connection, self.epoch).await?;
        let meta = settled.ok_or(StoreError::Deposed)?;
        self.batch = meta.batch;
        self.is_in_doubt = false;
        Ok(())
    }

    async fn write(
        &mut self,
        doing: &'static str,
        statements: Vec<Query<'_>>,
    ) -> Result<(), StoreError> {
        self.is_in_doubt = true;
        let outcome = self.write_once(statements).await;
        self.is_in_doubt = outcome.as_ref().is_err_and(|error| Meaning::of(error).leaves_doubt());
        match outcome.map_err(StoreError::query(doing))? {
            true => Ok(()),
            false => Err(StoreError::Deposed),
        }
    }

    async fn write_once(&mut self, statements: Vec<Query<'_>>) -> sqlx::Result<bool> {
        let written = self.write_statements(statements).await;
        end(&mut self.connection, written, Act::NoteCommit).await
    }

    async fn write_statements(&mut self, statements: Vec<Query<'_>>) -> sqlx::Result<bool> {
        if !meta::epoch_begin(&mut self.connection, self.epoch).await? {
            return Ok(false);
        }
        for statement in Query::merge(statements) {
            self.connection.run(statement).await?;
        }
        Ok(true)
    }
}

/// Commits what was written, or rolls it back where it must not stand.
async fn end<C: Run>(
    connection: &mut C,
    written: sqlx::Result<bool>,
    act: Act,
) -> sqlx::Result<bool> {
    let ended = match written {
        Ok(true) => {
            failpoint::before(act);
            let committed = connection.run(query!("COMMIT")).await.map(|_| true);
            failpoint::after(act);
            committed
        }
        Ok(false) => connection.run(query!("ROLLBACK")).await.map(|_| false),
        Err(error) => Err(error),
    };
    if let Err(error) = &ended {
        roll_back(connection, error).await;
    }
    ended
}

/// Leaves no transaction open after an error.
async fn roll_back<C: Run>(connection: &mut C, error: &sqlx::Error) {
    // A connection that is in doubt is replaced, which rolls back: it is not to be waited for again.
    if Meaning::of(error).leaves_doubt() {
        return;
    }
    // After some errors nothing is left to roll back, which is an error of its own.
    if let Err(error) = connection.run(query!("ROLLBACK")).await {
        tracing::debug!("roll back after an error: {error:#}");
    }
}

/// Drops every write that a later one to the same key replaces; keeps the order of the rest.
fn last_of_each_key(writes: &[Write]) -> Vec<&Write> {
    let mut seen: HashSet<Key<'_>> = HashSet::with_capacity(writes.len());
    let mut last: Vec<&Write> =
        writes.iter().rev().filter(|write| seen.insert(row::key(write))).collect();
    last.reverse();
    last
}
