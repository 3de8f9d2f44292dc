//! The database as the loop sees it: patient with one that does not answer, and never deaf to
//! the order to stop.

use std::sync::Arc;
use std::time::Duration;

use engine::{Rows, Write};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::run::CoreError;
use crate::store::{CommitError, Store, StoreError};

/// Pauses between attempts, in ms.
const FIRST_PAUSE_MS: u64 = 50;
const LONGEST_PAUSE_MS: u64 = 2_000;
/// A batch that loses its connection so often is taken for the reason.
const MOST_LOSSES: u32 = 3;
/// After the order to stop, for what the database is doing.
const LAST_MOMENT: Duration = Duration::from_millis(400);

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Fate {
    Committed,
    /// Nothing of it is in the database.
    Refused {
        why: String,
    },
    /// Nothing of it is in the database, and there is no space for anything else.
    DiskFull {
        why: String,
    },
}

/// Pauses that double.
#[derive(Debug)]
pub(super) struct Pauses {
    next_ms: u64,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { next_ms: FIRST_PAUSE_MS }
    }
}

impl Pauses {
    pub(super) fn next(&mut self) -> Duration {
        let pause = Duration::from_millis(self.next_ms);
        self.next_ms = (self.next_ms * 2).min(LONGEST_PAUSE_MS);
        pause
    }
}

/// The database of the loop.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) store: Arc<Store>,
    pub(super) cancel: CancellationToken,
}

impl Ledger {
    /// Commits a batch; one that met a lock or lost its connection is tried until its fate is
    /// known.
    pub(super) async fn commit(&self, writes: &[Write]) -> Result<Fate, CoreError> {
        let mut pauses = Pauses::default();
        let mut losses = 0;
        loop {
            let Err(refused) = self.unless_told(self.store.commit(writes)).await? else {
                return Ok(Fate::Committed);
            };
            match refused {
                CommitError::Unknown { batch, .. } => {
                    if self.settle().await? >= batch {
                        return Ok(Fate::Committed);
                    }
                    losses += 1;
                    if losses == MOST_LOSSES {
                        let why = "the connection to the database was lost before the commit";
                        return Ok(Fate::Refused { why: why.to_owned() });
                    }
                }
                // What was decided stays right: only the commit is tried again.
                CommitError::Busy { .. } => {
                    warn!("{}; trying again", chain(refused));
                    self.rest(pauses.next()).await?;
                }
                CommitError::RolledBack { .. } => {
                    return Ok(Fate::Refused { why: chain(refused) });
                }
                CommitError::DiskFull { .. } => return Ok(Fate::DiskFull { why: chain(refused) }),
                CommitError::DiskFailed { .. } | CommitError::Deposed => {
                    return Err(CoreError::Commit(refused));
                }
            }
        }
    }

    /// Reads everything, from a database that may be away at the moment.
    pub(super) async fn load(&self) -> Result<Rows, CoreError> {
        let mut pauses = Pauses::default();
        loop {
            match self.unless_told(self.store.load()).await? {
                Ok(rows) => return Ok(rows),
                Err(error) if error.is_final() => return Err(CoreError::Load(error)),
                Err(error) => self.rest_after(error, &mut pauses).await?,
            }
        }
    }

    /// Asks for the last batch until the database answers.
    async fn settle(&self) -> Result<i64, CoreError> {
        let mut pauses = Pauses::default();
        loop {
            match self.unless_told(self.store.batch_now()).await? {
                Ok(batch) => return Ok(batch),
                Err(error) if error.is_final() => return Err(CoreError::Doubt(error)),
                Err(error) => self.rest_after(error, &mut pauses).await?,
            }
        }
    }

    async fn rest_after(&self, error: StoreError, pauses: &mut Pauses) -> Result<(), CoreError> {
        warn!("the database does not answer: {}", chain(error));
        self.rest(pauses.next()).await
    }

    async fn rest(&self, pause: Duration) -> Result<(), CoreError> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.cancel.cancelled() => Err(CoreError::Stopped),
        }
    }

    /// Waits for the database, but not long after the order to stop. What is dropped then is in
    /// doubt, as after a crash, and the next start finds out.
    async fn unless_told<T>(&self, work: impl Future<Output = T>) -> Result<T, CoreError> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = self.cancel.cancelled() => {}
        }
        tokio::time::timeout(LAST_MOMENT, work).await.map_err(|_late| CoreError::Stopped)
    }
}

fn chain(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
