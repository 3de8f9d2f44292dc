//! Commands. `state` and `outcome` are words for people and indexes, `state_detail` is exact.

use attempt::master::State;
use attempt::{CommandId, Place};
use engine::BuildId;
use engine::row::Command;

use crate::store::codec::{name, narrow, pack, unpack};
use crate::store::query::{Query, query};
use crate::store::record::{ReadError, Record};
use crate::store::{Store, StoreError};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, build, step, part, attempt, worker, slot, locks, boot_id, spool_id, state_detail, \
             assigned_us, began_us, ended_us FROM command ",
            $tail
        )
    };
}

pub(in crate::store) fn put(row: &Command) -> Query<'_> {
    let Command {
        half: attempt::master::Command { id, place: Place { boot_id, spool_id }, state },
        build,
        step,
        part,
        attempt,
        worker,
        slot,
        locks,
        assigned_us,
        began_us,
        ended_us,
    } = row;
    query!(
        "INSERT INTO command (id, build, step, part, attempt, worker, boot_id, spool_id, state, \
         outcome, state_detail, assigned_us, began_us, ended_us, slot, locks) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (id) DO UPDATE SET build = excluded.build, step = excluded.step, \
         part = excluded.part, attempt = excluded.attempt, worker = excluded.worker, \
         boot_id = excluded.boot_id, spool_id = excluded.spool_id, state = excluded.state, \
         outcome = excluded.outcome, state_detail = excluded.state_detail, \
         assigned_us = excluded.assigned_us, began_us = excluded.began_us, \
         ended_us = excluded.ended_us, slot = excluded.slot, locks = excluded.locks",
        id.to_string(),
        build.0,
        i64::from(*step),
        i64::from(*part),
        i64::from(*attempt),
        worker.as_str(),
        boot_id.as_str(),
        spool_id.as_str(),
        state_word(state),
        row.half.outcome().map(ToString::to_string),
        pack(state),
        *assigned_us,
        *began_us,
        *ended_us,
        i64::from(*slot),
        (!locks.is_empty()).then(|| pack(locks))
    )
}

fn state_word(state: &State) -> &'static str {
    match state {
        State::Assigned { .. } => "assigned",
        State::Running { .. } => "running",
        State::Doubtful { .. } => "doubtful",
        State::Ended { .. } => "ended",
        State::GivenUp => "given_up",
        State::LogGivenUp { .. } => "log_given_up",
        State::Sealed { .. } => "sealed",
    }
}

/// The highest command up to an id.
pub(in crate::store) fn below(id: &str) -> Query<'_> {
    query!(select!("WHERE id <= $1 ORDER BY id DESC LIMIT 1"), id)
}

pub(in crate::store) fn after(id: &str, most: i64) -> Query<'_> {
    query!(select!("WHERE id > $1 ORDER BY id LIMIT $2"), id, most)
}

pub(in crate::store) fn living() -> Query<'static> {
    query!(select!("WHERE state <> 'sealed' ORDER BY id"))
}

pub(in crate::store) fn read(record: &Record) -> Result<Command, ReadError> {
    Ok(Command {
        half: attempt::master::Command {
            id: command_id("id", &record.text("id")?)?,
            place: Place { boot_id: record.text("boot_id")?, spool_id: record.text("spool_id")? },
            state: unpack("state_detail", &record.bytes("state_detail")?)?,
        },
        build: BuildId(record.int("build")?),
        step: narrow("step", record.int("step")?)?,
        part: narrow("part", record.int("part")?)?,
        attempt: narrow("attempt", record.int("attempt")?)?,
        worker: name("worker", &record.text("worker")?)?,
        slot: narrow("slot", record.int("slot")?)?,
        locks: match record.bytes_or_null("locks")? {
            Some(cell) => unpack("locks", &cell)?,
            None => Vec::new(),
        },
        assigned_us: record.int("assigned_us")?,
        began_us: record.int_or_null("began_us")?,
        ended_us: record.int_or_null("ended_us")?,
    })
}

/// Reads the 32 digits that an id is shown as.
pub(super) fn command_id(column: &'static str, text: &str) -> Result<CommandId, ReadError> {
    let digits = |half: &str| u64::from_str_radix(half, 16).ok();
    let halves = text.split_at_checked(16).filter(|(_, counter)| counter.len() == 16);
    halves
        .and_then(|(incarnation, counter)| Some((digits(incarnation)?, digits(counter)?)))
        .map(|(incarnation, counter)| CommandId { incarnation, counter: counter.cast_signed() })
        .ok_or_else(|| ReadError::new(column, format!("`{text}` is not the id of a command")))
}

impl Store {
    /// Returns the commands of a build, by part.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn commands_of(&self, build: BuildId) -> Result<Vec<Command>, StoreError> {
        let query = query!(select!("WHERE build = $1 ORDER BY part"), build.0);
        self.ask("list the commands of a build", query, read).await
    }

    /// Returns a command, living or not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn command_by_id(&self, id: CommandId) -> Result<Option<Command>, StoreError> {
        let query = query!(select!("WHERE id = $1"), id.to_string());
        self.ask_one("read a command", query, read).await
    }
}
