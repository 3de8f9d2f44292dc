//! The single row that says which database this is and how far it is.

use failpoint::Act;

use super::query::{Query, query};
use super::record::{ReadError, Record};
use super::run::Run;
use super::{Start, StoreError};

/// The row `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) incarnation: u64,
    pub(super) epoch: i64,
    pub(super) batch: i64,
}

fn read(record: &Record) -> Result<Meta, ReadError> {
    Ok(Meta {
        incarnation: record.int("incarnation")?.cast_unsigned(),
        epoch: record.int("epoch")?,
        batch: record.int("batch")?,
    })
}

/// Begins a new epoch; a new database gets the incarnation.
pub(super) async fn epoch_raise<C: Run>(
    connection: &mut C,
    incarnation: u64,
) -> Result<Meta, StoreError> {
    const DOING: &str = "raise the epoch of the database";
    let create = query!(
        "INSERT INTO meta (one, incarnation, epoch, batch) VALUES (1, $1, 0, 0) \
         ON CONFLICT (one) DO NOTHING",
        incarnation.cast_signed()
    );
    connection.run(create).await.map_err(StoreError::query(DOING))?;
    let raise = query!("UPDATE meta SET epoch = epoch + 1 RETURNING incarnation, epoch, batch");
    failpoint::before(Act::EpochCommit);
    let records = connection.rows(raise).await.map_err(StoreError::query(DOING))?;
    failpoint::after(Act::EpochCommit);
    only(DOING, &records)
}

/// Leaves the past of a restored database behind: no id, epoch, batch or revision of it comes
/// again, whatever was done after the backup was made. Workers believe no master of an epoch lower
/// than one they saw, be it of another restore of the same backup: the clock tells these apart.
pub(super) fn reincarnate(start: Start) -> Vec<Query<'static>> {
    vec![
        query!(
            "UPDATE meta SET incarnation = $1, batch = batch + $2, \
             epoch = CASE WHEN epoch + $2 < $3 THEN $3 ELSE epoch + $2 END",
            start.incarnation.cast_signed(),
            engine::GAP,
            start.wall_us / 1_000
        ),
        query!(
            "INSERT INTO revision (n, sha256, files, loaded_us) \
             SELECT n + $1, sha256, files, loaded_us FROM revision \
             WHERE n = (SELECT max(n) FROM revision)",
            engine::GAP
        ),
        query!("DROP TABLE IF EXISTS backup"),
    ]
}

/// Reads the row.
pub(super) async fn get<C: Run>(connection: &mut C) -> Result<Meta, StoreError> {
    const DOING: &str = "read the epoch of the database";
    let records = connection
        .rows(query!("SELECT incarnation, epoch, batch FROM meta"))
        .await
        .map_err(StoreError::query(DOING))?;
    only(DOING, &records)
}

/// Reads the row after every transaction that may be under way; `None` in another epoch.
pub(super) async fn settled<C: Run>(
    connection: &mut C,
    epoch: i64,
) -> Result<Option<Meta>, StoreError> {
    const DOING: &str = "read the number of the last batch";
    // It is a write because a write waits for the one that is not finished.
    let hold = query!(
        "UPDATE meta SET epoch = $1 WHERE epoch = $1 RETURNING incarnation, epoch, batch",
        epoch
    );
    let records = connection.rows(hold).await.map_err(StoreError::query(DOING))?;
    records.first().map(read).transpose().map_err(StoreError::row(DOING))
}

/// Begins a transaction and moves on to the batch. `false` where this is no longer the epoch, or
/// not the next batch.
pub(super) async fn batch_begin<C: Run>(
    connection: &mut C,
    epoch: i64,
    batch: i64,
) -> sqlx::Result<bool> {
    // Numbers may stand in the text; one round trip less is a fifth of a small batch.
    let text = format!(
        "{}; UPDATE meta SET batch = {batch} WHERE epoch = {epoch} AND batch = {} RETURNING batch",
        C::BEGIN,
        batch - 1
    );
    Ok(!connection.script(&text).await?.is_empty())
}

/// Moves on to the batch, as a part of a larger text. It is refused where this is no longer the
/// epoch, or not the next batch: the column takes no NULL.
pub(super) fn batch_move(epoch: i64, batch: i64) -> Query<'static> {
    query!(
        "UPDATE meta SET batch = CASE WHEN epoch = $1 AND batch = $2 - 1 THEN $2 END",
        epoch,
        batch
    )
}

/// Says whether this is still the epoch, and the batch the next one.
pub(super) async fn is_next<C: Run>(
    connection: &mut C,
    epoch: i64,
    batch: i64,
) -> sqlx::Result<bool> {
    let question =
        query!("SELECT batch FROM meta WHERE epoch = $1 AND batch = $2 - 1", epoch, batch);
    Ok(!connection.rows(question).await?.is_empty())
}

/// Begins a transaction and holds the epoch until it ends. `false` where it is another one.
pub(super) async fn epoch_begin<C: Run>(connection: &mut C, epoch: i64) -> sqlx::Result<bool> {
    let text = format!(
        "{}; UPDATE meta SET epoch = {epoch} WHERE epoch = {epoch} RETURNING epoch",
        C::BEGIN
    );
    Ok(!connection.script(&text).await?.is_empty())
}

fn only(doing: &'static str, records: &[Record]) -> Result<Meta, StoreError> {
    let record = records.first().ok_or_else(|| ReadError::new("one", "the row is missing"));
    record.and_then(read).map_err(StoreError::row(doing))
}
