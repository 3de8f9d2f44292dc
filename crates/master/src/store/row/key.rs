//! Idempotency keys; the engine holds those of the last day, the rest is only here.

use engine::ChangeId;
use engine::row::SubmissionKey;

use crate::store::codec::{pack, unpack};
use crate::store::query::{Query, query};
use crate::store::record::{ReadError, Record};
use crate::store::{Store, StoreError};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT principal, key, body, change, requests, schedulers, accepted_us, is_retired \
             FROM submission_key ",
            $tail
        )
    };
}

pub(in crate::store) fn put(row: &SubmissionKey) -> Query<'_> {
    let SubmissionKey {
        principal,
        key,
        body,
        change,
        requests,
        schedulers,
        accepted_us,
        is_retired,
    } = row;
    query!(
        "INSERT INTO submission_key (principal, key, body, change, requests, schedulers, \
         accepted_us, is_retired) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (principal, key) DO UPDATE SET body = excluded.body, \
         change = excluded.change, requests = excluded.requests, \
         schedulers = excluded.schedulers, accepted_us = excluded.accepted_us, \
         is_retired = excluded.is_retired",
        principal.as_str(),
        key.as_str(),
        body.cast_signed(),
        change.0,
        pack(requests),
        pack(schedulers),
        *accepted_us,
        i64::from(*is_retired)
    )
}

pub(in crate::store) fn living() -> Query<'static> {
    query!(select!("WHERE is_retired = 0 ORDER BY principal, key"))
}

pub(in crate::store) fn read(record: &Record) -> Result<SubmissionKey, ReadError> {
    Ok(SubmissionKey {
        principal: record.text("principal")?,
        key: record.text("key")?,
        body: record.int("body")?.cast_unsigned(),
        change: ChangeId(record.int("change")?),
        requests: unpack("requests", &record.bytes("requests")?)?,
        schedulers: unpack("schedulers", &record.bytes("schedulers")?)?,
        accepted_us: record.int("accepted_us")?,
        is_retired: record.int("is_retired")? != 0,
    })
}

impl Store {
    /// Returns what was answered to the key, however long ago.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn key_find(
        &self,
        principal: &str,
        key: &str,
    ) -> Result<Option<SubmissionKey>, StoreError> {
        let query = query!(select!("WHERE principal = $1 AND key = $2"), principal, key);
        self.ask_one("look up an idempotency key", query, read).await
    }
}
