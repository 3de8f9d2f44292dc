//! Requests. One without `ended_us` is alive; its state follows from which columns are set.

use std::collections::BTreeSet;

use config::Name;
use engine::property::Properties;
use engine::row::{OnDisconnect, Request, RequestState};
use engine::{BuildId, BuildResult, BuildsetId, ChangeId, RequestId, RequestName, Waits};

use crate::store::codec::{name, narrow, pack, unpack};
use crate::store::query::{Query, query};
use crate::store::record::{ReadError, Record};
use crate::store::{Store, StoreError};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, label, number, builder, buildset, change, changes, owner, reason, \
             priority, submitted_us, on_disconnect, build, result, result_reason, exit_code, \
             ended_us, properties, scheduler, collapses, merged_into, waits FROM request ",
            $tail
        )
    };
}

/// The columns of the state.
#[derive(Default)]
struct StateCells<'a> {
    merged_into: Option<i64>,
    build: Option<i64>,
    result: Option<&'a str>,
    result_reason: Option<&'a str>,
    exit_code: Option<i64>,
    ended_us: Option<i64>,
}

pub(in crate::store) fn put(row: &Request) -> Query<'_> {
    let Request {
        id,
        name: RequestName { label, number },
        builder,
        buildset,
        change,
        changes,
        owner,
        reason,
        scheduler,
        priority,
        collapses,
        submitted_us,
        on_disconnect,
        properties,
        waits,
        state,
    } = row;
    let state = state_cells(state);
    query!(
        "INSERT INTO request (id, label, number, builder, buildset, change, changes, owner, \
         reason, priority, submitted_us, on_disconnect, build, result, result_reason, \
         exit_code, ended_us, properties, scheduler, collapses, merged_into, waits) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
         $18, $19, $20, $21, $22) \
         ON CONFLICT (id) DO UPDATE SET label = excluded.label, number = excluded.number, \
         builder = excluded.builder, buildset = excluded.buildset, change = excluded.change, \
         changes = excluded.changes, owner = excluded.owner, reason = excluded.reason, \
         priority = excluded.priority, submitted_us = excluded.submitted_us, \
         on_disconnect = excluded.on_disconnect, build = excluded.build, \
         result = excluded.result, result_reason = excluded.result_reason, \
         exit_code = excluded.exit_code, ended_us = excluded.ended_us, \
         properties = excluded.properties, scheduler = excluded.scheduler, \
         collapses = excluded.collapses, merged_into = excluded.merged_into, \
         waits = excluded.waits",
        id.0,
        label.as_str(),
        *number,
        builder.as_str(),
        buildset.0,
        change.0,
        pack(changes),
        owner.as_str(),
        reason.as_str(),
        i64::from(*priority),
        *submitted_us,
        on_disconnect_word(*on_disconnect),
        state.build,
        state.result,
        state.result_reason,
        state.exit_code,
        state.ended_us,
        pack_properties(properties),
        scheduler.as_ref().map(Name::as_str),
        i64::from(*collapses),
        state.merged_into,
        (!waits.is_empty()).then(|| pack(waits))
    )
}

fn state_cells(state: &RequestState) -> StateCells<'_> {
    match state {
        RequestState::Waiting => StateCells::default(),
        RequestState::Merged { into } => {
            StateCells { merged_into: Some(into.0), ..StateCells::default() }
        }
        RequestState::Running { build } => {
            StateCells { build: Some(build.0), ..StateCells::default() }
        }
        RequestState::Done { result, reason, exit_code, ended_us } => StateCells {
            result: Some(result.word()),
            result_reason: Some(reason),
            exit_code: Some(i64::from(*exit_code)),
            ended_us: Some(*ended_us),
            ..StateCells::default()
        },
    }
}

fn on_disconnect_word(on_disconnect: OnDisconnect) -> &'static str {
    match on_disconnect {
        OnDisconnect::Cancel => "cancel",
        OnDisconnect::Keep => "keep",
    }
}

pub(in crate::store) fn after(id: i64, most: i64) -> Query<'static> {
    query!(select!("WHERE id > $1 ORDER BY id LIMIT $2"), id, most)
}

pub(in crate::store) fn living() -> Query<'static> {
    query!(select!("WHERE ended_us IS NULL ORDER BY id"))
}

pub(in crate::store) fn read(record: &Record) -> Result<Request, ReadError> {
    let on_disconnect = record.text("on_disconnect")?;
    Ok(Request {
        id: RequestId(record.int("id")?),
        name: request_name(record)?,
        builder: name("builder", &record.text("builder")?)?,
        buildset: BuildsetId(record.int("buildset")?),
        change: ChangeId(record.int("change")?),
        changes: unpack("changes", &record.bytes("changes")?)?,
        owner: record.text("owner")?,
        reason: record.text("reason")?,
        scheduler: read_scheduler(record)?,
        priority: narrow("priority", record.int("priority")?)?,
        collapses: record.int("collapses")? != 0,
        submitted_us: record.int("submitted_us")?,
        on_disconnect: [OnDisconnect::Cancel, OnDisconnect::Keep]
            .into_iter()
            .find(|known| on_disconnect_word(*known) == on_disconnect)
            .ok_or_else(|| ReadError::new("on_disconnect", format!("`{on_disconnect}`")))?,
        properties: properties(record)?,
        waits: match record.bytes_or_null("waits")? {
            Some(cell) => unpack("waits", &cell)?,
            None => Waits::default(),
        },
        state: read_state(record)?,
    })
}

fn read_scheduler(record: &Record) -> Result<Option<Name>, ReadError> {
    let scheduler = record.text_or_null("scheduler")?;
    scheduler.map(|text| name("scheduler", &text)).transpose()
}

fn read_state(record: &Record) -> Result<RequestState, ReadError> {
    let Some(ended_us) = record.int_or_null("ended_us")? else {
        let into = record.int_or_null("merged_into")?.map(RequestId);
        let build = record.int_or_null("build")?.map(BuildId);
        return Ok(match (into, build) {
            (Some(into), _) => RequestState::Merged { into },
            (None, Some(build)) => RequestState::Running { build },
            (None, None) => RequestState::Waiting,
        });
    };
    Ok(RequestState::Done {
        result: result("result", &record.text("result")?)?,
        reason: record.text("result_reason")?,
        exit_code: narrow("exit_code", record.int("exit_code")?)?,
        ended_us,
    })
}

/// Packs properties. Most rows have none, and then no cell.
pub(super) fn pack_properties(properties: &Properties) -> Option<Vec<u8>> {
    (!properties.is_empty()).then(|| pack(properties))
}

/// Reads the column `properties`.
pub(super) fn properties(record: &Record) -> Result<Properties, ReadError> {
    let cell = record.bytes_or_null("properties")?;
    cell.map_or_else(|| Ok(Properties::new()), |cell| unpack("properties", &cell))
}

/// Reads the columns `label` and `number`.
pub(super) fn request_name(record: &Record) -> Result<RequestName, ReadError> {
    Ok(RequestName { label: name("label", &record.text("label")?)?, number: record.int("number")? })
}

/// Reads a result's word.
pub(super) fn result(column: &'static str, word: &str) -> Result<BuildResult, ReadError> {
    BuildResult::from_word(word)
        .ok_or_else(|| ReadError::new(column, format!("`{word}` is not a result")))
}

impl Store {
    /// Returns the builders for which something waits, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn request_builders(&self) -> Result<BTreeSet<Name>, StoreError> {
        let query = query!(
            "SELECT builder FROM request WHERE ended_us IS NULL AND build IS NULL ORDER BY id"
        );
        let read = |record: &Record| name("builder", &record.text("builder")?);
        let each = self.ask("list builders for which something waits", query, read).await?;
        Ok(each.into_iter().collect())
    }

    /// Returns a request, living or not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn request_by_id(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        self.ask_one("read a request", query!(select!("WHERE id = $1"), id.0), read).await
    }

    /// Returns the request that people call by this name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn request_by_name(&self, name: &RequestName) -> Result<Option<Request>, StoreError> {
        let query =
            query!(select!("WHERE label = $1 AND number = $2"), name.label.as_str(), name.number);
        self.ask_one("read a request", query, read).await
    }

    /// Returns the requests of an owner that ended last, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn request_ended(&self, owner: &str, limit: u32) -> Result<Vec<Request>, StoreError> {
        let query = query!(
            select!(
                "WHERE owner = $1 AND ended_us IS NOT NULL ORDER BY ended_us DESC, id DESC LIMIT $2"
            ),
            owner,
            i64::from(limit)
        );
        self.ask("list requests", query, read).await
    }
}
