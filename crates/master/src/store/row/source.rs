//! The heads that polling sources have seen.

use engine::row::SourceHeads;

use crate::store::codec::{name, pack, unpack};
use crate::store::query::{Query, query};
use crate::store::record::{ReadError, Record};

pub(in crate::store) fn put(row: &SourceHeads) -> Query<'_> {
    let SourceHeads { source, heads } = row;
    query!(
        "INSERT INTO source_heads (source, heads) VALUES ($1, $2) \
         ON CONFLICT (source) DO UPDATE SET heads = excluded.heads",
        source.as_str(),
        pack(heads)
    )
}

pub(in crate::store) fn living() -> Query<'static> {
    query!("SELECT source, heads FROM source_heads ORDER BY source")
}

pub(in crate::store) fn read(record: &Record) -> Result<SourceHeads, ReadError> {
    Ok(SourceHeads {
        source: name("source", &record.text("source")?)?,
        heads: unpack("heads", &record.bytes("heads")?)?,
    })
}
