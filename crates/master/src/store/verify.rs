//! Looks whether a database is what this program wrote, without a master.
//!
//! Everything is read: the structure by SQLite's own check, every row of every table that people
//! or the engine ask for, and what the rows say of each other. A backup has a seal besides. What
//! changed within a value of a database in use, and still is a value, can go unseen.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::backup::{self, BackupError, Seal, at_rest};
use super::load::{list, rows};
use super::query::query;
use super::row::{LogRow, build, change, command, log, request};
use super::run::Run;
use super::{StateUrl, StoreError, meta, migrate, postgres, sanity, sqlite};

/// Rows read at once.
const PAGE: i64 = 500;
/// Findings of SQLite that are told.
const MOST_FINDINGS: usize = 20;

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Inspection {
    /// When it was made, µs since 1970, where it is a backup.
    pub taken_us: Option<i64>,
    pub schema: i64,
    pub incarnation: String,
    pub epoch: i64,
    pub batch: i64,
    /// Rows that were read.
    pub rows: u64,
    /// What is wrong.
    pub findings: Vec<String>,
}

/// Takes the rows of sealed logs as they come.
pub type TakeLog<'a> = &'a mut dyn FnMut(&LogRow);

/// Looks over the database of a master, which may be running.
///
/// # Errors
/// When it cannot be reached; damage is a finding.
pub async fn database(url: &StateUrl, logs: TakeLog<'_>) -> Result<Inspection, StoreError> {
    let mut inspection = Inspection::default();
    match url {
        StateUrl::Sqlite(path) => {
            let options = SqliteConnectOptions::new()
                .filename(path)
                .busy_timeout(sqlite::BUSY_TIMEOUT)
                .read_only(true)
                .disable_statement_logging();
            sqlite_file(path, options, &mut inspection, logs).await?;
        }
        StateUrl::Postgres(options) => {
            let mut connection = postgres::connect(options)
                .await
                .map_err(|source| StoreError::Open { url: url.to_string(), source })?;
            contents(&mut connection, &mut inspection, logs).await?;
        }
    }
    Ok(inspection)
}

/// Looks over a backup.
///
/// # Errors
/// When it cannot be read; damage is a finding.
pub async fn file(path: &Path, logs: TakeLog<'_>) -> Result<Inspection, BackupError> {
    let mut inspection = Inspection::default();
    match backup::check(path).await? {
        Seal::Whole { taken_us } => inspection.taken_us = Some(taken_us),
        Seal::Broken => {
            let finding = "not every byte of the file is as it was when the backup was made";
            inspection.findings.push(finding.to_owned());
        }
        Seal::Missing => {
            let finding = "the file was not made by `master db backup`: nothing tells whether it \
                           is whole";
            inspection.findings.push(finding.to_owned());
        }
    }
    sqlite_file(path, at_rest(path), &mut inspection, logs).await?;
    Ok(inspection)
}

async fn sqlite_file(
    path: &Path,
    options: SqliteConnectOptions,
    inspection: &mut Inspection,
    logs: TakeLog<'_>,
) -> Result<(), StoreError> {
    let outcome = read_sqlite(path, &options, inspection, logs).await;
    match outcome {
        // The structure is so damaged that not even its check can be made.
        Err(StoreError::Damaged { finding, .. }) => inspection.findings.push(finding),
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    Ok(())
}

async fn read_sqlite(
    path: &Path,
    options: &SqliteConnectOptions,
    inspection: &mut Inspection,
    logs: TakeLog<'_>,
) -> Result<(), StoreError> {
    let damaged = |source| sqlite::damaged_or_unopened(path, source);
    let mut connection = options.connect().await.map_err(damaged)?;
    let structure = structure(&mut connection).await.map_err(damaged)?;
    let is_sound = structure.is_empty();
    inspection.findings.extend(structure);
    // One state is read, whatever a master commits meanwhile.
    connection.script("BEGIN").await.map_err(damaged)?;
    match contents(&mut connection, inspection, logs).await {
        // Where the structure is damaged nothing else is to be expected.
        Err(error) if !is_sound => inspection.findings.push(chain(error)),
        ended => ended?,
    }
    connection.close().await.map_err(damaged)
}

/// Has SQLite check every page, row and index.
async fn structure(connection: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    let records = connection.rows(query!("PRAGMA integrity_check(20)")).await?;
    let lines = records.iter().map(|record| {
        record.text("integrity_check").unwrap_or_else(|error| format!("{error}: not readable"))
    });
    Ok(lines.filter(|line| line != "ok").take(MOST_FINDINGS).collect())
}

/// Reads everything there is.
async fn contents<C: Run>(
    from: &mut C,
    inspection: &mut Inspection,
    logs: TakeLog<'_>,
) -> Result<(), StoreError> {
    inspection.schema = migrate::newest(from).await?;
    let known = migrate::known();
    if inspection.schema > known {
        return Err(StoreError::Newer { found: inspection.schema, known });
    }
    // What an older version wrote is brought up to date by the next start, and then checked.
    if inspection.schema < known {
        return Ok(());
    }
    let read = read_all(from, inspection, logs).await;
    match read {
        Err(error @ (StoreError::Row { .. } | StoreError::Query { .. })) => {
            inspection.findings.push(chain(error));
            Ok(())
        }
        ended => ended,
    }
}

async fn read_all<C: Run>(
    from: &mut C,
    inspection: &mut Inspection,
    logs: TakeLog<'_>,
) -> Result<(), StoreError> {
    let meta = meta::get(from).await?;
    inspection.incarnation = format!("{:016x}", meta.incarnation);
    (inspection.epoch, inspection.batch) = (meta.epoch, meta.batch);
    if meta.epoch < 1 || meta.batch < 0 {
        let finding = format!("epoch {} and batch {} cannot be", meta.epoch, meta.batch);
        inspection.findings.push(finding);
    }
    rows(from).await?;
    inspection.findings.extend(sanity::counters(from, meta.incarnation).await?);
    history(from, inspection, logs).await
}

/// Reads every row that was ever written, in pages.
async fn history<C: Run>(
    from: &mut C,
    inspection: &mut Inspection,
    logs: TakeLog<'_>,
) -> Result<(), StoreError> {
    let mut last = i64::MIN;
    loop {
        let page = list(from, "read changes", change::after(last, PAGE), change::read).await?;
        let Some(end) = page.last() else { break };
        last = end.id.0;
        inspection.rows += page.len() as u64;
    }
    last = i64::MIN;
    loop {
        let page = list(from, "read requests", request::after(last, PAGE), request::read).await?;
        let Some(end) = page.last() else { break };
        last = end.id.0;
        inspection.rows += page.len() as u64;
    }
    last = i64::MIN;
    loop {
        let page = list(from, "read builds", build::after(last, PAGE), build::read).await?;
        let Some(end) = page.last() else { break };
        last = end.id.0;
        inspection.rows += page.len() as u64;
    }
    commands_and_logs(from, inspection, logs).await
}

async fn commands_and_logs<C: Run>(
    from: &mut C,
    inspection: &mut Inspection,
    logs: TakeLog<'_>,
) -> Result<(), StoreError> {
    let mut last = String::new();
    loop {
        let page = list(from, "read commands", command::after(&last, PAGE), command::read).await?;
        let Some(end) = page.last() else { break };
        last = end.id().to_string();
        inspection.rows += page.len() as u64;
    }
    last.clear();
    loop {
        let page = list(from, "read sealed logs", log::after(&last, PAGE), log::read).await?;
        let Some(end) = page.last() else { break };
        last = end.command.to_string();
        page.iter().for_each(&mut *logs);
        inspection.rows += page.len() as u64;
    }
    Ok(())
}

fn chain(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
