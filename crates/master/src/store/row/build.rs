//! Builds, with their plan and the progress of their steps.

use engine::row::Build;
use engine::{BuildId, BuildResult, RequestId, RequestName};

use super::request::{pack_properties, properties, request_name, result};
use crate::store::codec::{name, narrow, pack, unpack};
use crate::store::query::{Query, query};
use crate::store::record::{ReadError, Record};
use crate::store::{Store, StoreError};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, request, label, number, rerun, builder, worker, slot, revision, plan, \
             steps, started_us, stop_reason, result, ended_us, properties FROM build ",
            $tail
        )
    };
}

pub(in crate::store) fn put(row: &Build) -> Query<'_> {
    let Build {
        id,
        request,
        name: RequestName { label, number },
        rerun,
        builder,
        worker,
        slot,
        revision,
        plan,
        steps,
        properties,
        started_us,
        stop_reason,
        end,
    } = row;
    query!(
        "INSERT INTO build (id, request, label, number, rerun, builder, worker, slot, revision, \
         plan, steps, started_us, stop_reason, result, ended_us, properties) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (id) DO UPDATE SET request = excluded.request, label = excluded.label, \
         number = excluded.number, rerun = excluded.rerun, builder = excluded.builder, \
         worker = excluded.worker, slot = excluded.slot, revision = excluded.revision, \
         plan = excluded.plan, steps = excluded.steps, started_us = excluded.started_us, \
         stop_reason = excluded.stop_reason, result = excluded.result, \
         ended_us = excluded.ended_us, properties = excluded.properties",
        id.0,
        request.0,
        label.as_str(),
        *number,
        i64::from(*rerun),
        builder.as_str(),
        worker.as_str(),
        i64::from(*slot),
        *revision,
        pack(plan),
        pack(steps),
        *started_us,
        stop_reason.as_deref(),
        end.map(|(result, _)| result.word()),
        end.map(|(_, ended_us)| ended_us),
        pack_properties(properties)
    )
}

pub(in crate::store) fn after(id: i64, most: i64) -> Query<'static> {
    query!(select!("WHERE id > $1 ORDER BY id LIMIT $2"), id, most)
}

pub(in crate::store) fn living() -> Query<'static> {
    query!(select!("WHERE ended_us IS NULL ORDER BY id"))
}

pub(in crate::store) fn read(record: &Record) -> Result<Build, ReadError> {
    Ok(Build {
        id: BuildId(record.int("id")?),
        request: RequestId(record.int("request")?),
        name: request_name(record)?,
        rerun: narrow("rerun", record.int("rerun")?)?,
        builder: name("builder", &record.text("builder")?)?,
        worker: name("worker", &record.text("worker")?)?,
        slot: narrow("slot", record.int("slot")?)?,
        revision: record.int("revision")?,
        plan: unpack("plan", &record.bytes("plan")?)?,
        steps: unpack("steps", &record.bytes("steps")?)?,
        properties: properties(record)?,
        started_us: record.int("started_us")?,
        stop_reason: record.text_or_null("stop_reason")?,
        end: read_end(record)?,
    })
}

fn read_end(record: &Record) -> Result<Option<(BuildResult, i64)>, ReadError> {
    let Some(ended_us) = record.int_or_null("ended_us")? else { return Ok(None) };
    Ok(Some((result("result", &record.text("result")?)?, ended_us)))
}

impl Store {
    /// Returns builds older than `before`, the newest first; of one builder if it is named.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn build_list(
        &self,
        builder: Option<&str>,
        before: Option<BuildId>,
        limit: u32,
    ) -> Result<Vec<Build>, StoreError> {
        let before = before.map_or(i64::MAX, |id| id.0);
        let limit = i64::from(limit);
        let query = match builder {
            Some(builder) => query!(
                select!("WHERE builder = $1 AND id < $2 ORDER BY id DESC LIMIT $3"),
                builder,
                before,
                limit
            ),
            None => query!(select!("WHERE id < $1 ORDER BY id DESC LIMIT $2"), before, limit),
        };
        self.ask("list builds", query, read).await
    }

    /// Returns a build.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn build_by_id(&self, id: BuildId) -> Result<Option<Build>, StoreError> {
        self.ask_one("read a build", query!(select!("WHERE id = $1"), id.0), read).await
    }

    /// Returns the build that people call by this name: the run asked for, else the latest.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn build_by_name(
        &self,
        name: &RequestName,
        rerun: Option<i32>,
    ) -> Result<Option<Build>, StoreError> {
        let (label, number) = (name.label.as_str(), name.number);
        let query = match rerun {
            Some(rerun) => query!(
                select!("WHERE label = $1 AND number = $2 AND rerun = $3"),
                label,
                number,
                i64::from(rerun)
            ),
            None => query!(
                select!("WHERE label = $1 AND number = $2 ORDER BY rerun DESC LIMIT 1"),
                label,
                number
            ),
        };
        self.ask_one("read a build", query, read).await
    }
}
