//! Stable timers that run. One that fired is nothing to remember: its row goes.

use engine::row::Pending;

use crate::store::codec::{name, pack, unpack};
use crate::store::query::{Query, query};
use crate::store::record::{ReadError, Record};

pub(in crate::store) fn put(row: &Pending) -> Query<'_> {
    let Pending { scheduler, lane, changes, armed_us, stable_us } = row;
    if changes.is_empty() {
        return query!(
            "DELETE FROM pending WHERE scheduler = $1 AND lane = $2",
            scheduler.as_str(),
            lane.as_str()
        );
    }
    query!(
        "INSERT INTO pending (scheduler, lane, changes, armed_us, stable_us) \
         VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (scheduler, lane) DO UPDATE SET changes = excluded.changes, \
         armed_us = excluded.armed_us, stable_us = excluded.stable_us",
        scheduler.as_str(),
        lane.as_str(),
        pack(changes),
        *armed_us,
        *stable_us
    )
}

pub(in crate::store) fn living() -> Query<'static> {
    query!(
        "SELECT scheduler, lane, changes, armed_us, stable_us FROM pending \
         ORDER BY scheduler, lane"
    )
}

pub(in crate::store) fn read(record: &Record) -> Result<Pending, ReadError> {
    Ok(Pending {
        scheduler: name("scheduler", &record.text("scheduler")?)?,
        lane: record.text("lane")?,
        changes: unpack("changes", &record.bytes("changes")?)?,
        armed_us: record.int("armed_us")?,
        stable_us: record.int("stable_us")?,
    })
}
