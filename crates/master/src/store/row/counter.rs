//! Counters. They only matter to the engine.

use engine::row::Counter;

use crate::store::query::{Query, query};
use crate::store::record::{ReadError, Record};

pub(in crate::store) fn put(row: &Counter) -> Query<'_> {
    let Counter { name, value } = row;
    query!(
        "INSERT INTO counter (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        name.as_str(),
        *value
    )
}

pub(in crate::store) fn living() -> Query<'static> {
    query!("SELECT name, value FROM counter ORDER BY name")
}

pub(in crate::store) fn read(record: &Record) -> Result<Counter, ReadError> {
    Ok(Counter { name: record.text("name")?, value: record.int("value")? })
}
