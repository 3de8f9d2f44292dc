//! Idempotency keys. They are only here, but for those the engine accepted a moment ago.

use engine::ChangeId;
use engine::row::SubmissionKey;

use crate::store::codec::{pack, unpack};
use crate::store::query::{Query, query};
use crate::store::record::{ReadError, Record};
use crate::store::{Store, StoreError};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT principal, key, body, change, requests, schedulers, accepted_us \
             FROM submission_key ",
            $tail
        )
    };
}

/// A key that is there already fails: it was answered, and its caller has to be told the same.
pub(in crate::store) fn put(row: &SubmissionKey) -> Query<'_> {
    let SubmissionKey { principal, key, body, change, requests, schedulers, accepted_us } = row;
    query!(
        "INSERT INTO submission_key (principal, key, body, change, requests, schedulers, \
         accepted_us) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        principal.as_str(),
        key.as_str(),
        body.cast_signed(),
        change.0,
        pack(requests),
        pack(schedulers),
        *accepted_us
    )
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
