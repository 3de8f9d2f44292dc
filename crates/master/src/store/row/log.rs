//! Where the sealed log of a command is and what it holds. Log bytes are never in the database.

use attempt::CommandId;

use super::command::command_id;
use crate::store::codec::digest;
use crate::store::query::{Query, query};
use crate::store::record::{ReadError, Record};
use crate::store::{Store, StoreError};

/// One sealed log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    pub command: CommandId,
    /// Length of the record stream, as the worker's spool had it.
    pub record_bytes: u64,
    /// Relative to the directory of logs.
    pub sealed_path: String,
    pub sealed_bytes: u64,
    /// Of the record stream.
    pub sha256: [u8; 32],
    /// What the command wrote, by channel.
    pub out_bytes: u64,
    pub err_bytes: u64,
    pub out_lines: u64,
    pub err_lines: u64,
    pub sealed_us: i64,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT command, record_bytes, sealed_path, sealed_bytes, sha256, out_bytes, \
             err_bytes, out_lines, err_lines, sealed_us FROM log ",
            $tail
        )
    };
}

pub(in crate::store) fn after(command: &str, most: i64) -> Query<'_> {
    query!(select!("WHERE command > $1 ORDER BY command LIMIT $2"), command, most)
}

fn put(row: &LogRow) -> Query<'_> {
    let LogRow {
        command,
        record_bytes,
        sealed_path,
        sealed_bytes,
        sha256,
        out_bytes,
        err_bytes,
        out_lines,
        err_lines,
        sealed_us,
    } = row;
    query!(
        "INSERT INTO log (command, record_bytes, sealed_path, sealed_bytes, sha256, out_bytes, \
         err_bytes, out_lines, err_lines, sealed_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (command) DO UPDATE SET record_bytes = excluded.record_bytes, \
         sealed_path = excluded.sealed_path, sealed_bytes = excluded.sealed_bytes, \
         sha256 = excluded.sha256, out_bytes = excluded.out_bytes, \
         err_bytes = excluded.err_bytes, out_lines = excluded.out_lines, \
         err_lines = excluded.err_lines, sealed_us = excluded.sealed_us",
        command.to_string(),
        record_bytes.cast_signed(),
        sealed_path.as_str(),
        sealed_bytes.cast_signed(),
        sha256.as_slice(),
        out_bytes.cast_signed(),
        err_bytes.cast_signed(),
        out_lines.cast_signed(),
        err_lines.cast_signed(),
        *sealed_us
    )
}

pub(in crate::store) fn read(record: &Record) -> Result<LogRow, ReadError> {
    let unsigned = |column| record.int(column).map(i64::cast_unsigned);
    Ok(LogRow {
        command: command_id("command", &record.text("command")?)?,
        record_bytes: unsigned("record_bytes")?,
        sealed_path: record.text("sealed_path")?,
        sealed_bytes: unsigned("sealed_bytes")?,
        sha256: digest("sha256", &record.bytes("sha256")?)?,
        out_bytes: unsigned("out_bytes")?,
        err_bytes: unsigned("err_bytes")?,
        out_lines: unsigned("out_lines")?,
        err_lines: unsigned("err_lines")?,
        sealed_us: record.int("sealed_us")?,
    })
}

impl Store {
    /// Notes sealed logs of different commands, in a transaction of their own. `LogSealed` is reported after it.
    ///
    /// # Errors
    /// When nothing was written; it can be tried again.
    pub async fn log_put(&self, logs: &[LogRow]) -> Result<(), StoreError> {
        self.write("note sealed logs", logs.iter().map(put).collect()).await
    }

    /// Returns the sealed log of a command, if it was sealed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn log_of(&self, command: CommandId) -> Result<Option<LogRow>, StoreError> {
        let query = query!(select!("WHERE command = $1"), command.to_string());
        self.ask_one("read where a log is", query, read).await
    }
}
