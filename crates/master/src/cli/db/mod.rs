//! `master db …`: the database, without a running master or beside one.

mod adopt;
mod backup;
mod restore;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use owner::Lock;
use tokio::signal::unix::{SignalKind, signal};

use super::{EXIT_CONFIG, EXIT_DATA, check, complain};
use crate::clock;
use crate::log::Shelf;
use crate::settings::{self, MasterSection};
use crate::store::backup::BackupError;
use crate::store::restore::RestoreError;
use crate::store::{Start, StoreError};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a copy of the database to a new file; the master may be running.
    Backup { file: PathBuf },
    /// Read everything in the database, or in a backup, and say what is wrong with it.
    Verify {
        /// A backup; without it, the master's database and logs.
        file: Option<PathBuf>,
        /// A folder of logs that belongs to the backup.
        #[arg(long, value_name = "FOLDER", requires = "file")]
        logs: Option<PathBuf>,
    },
    /// Put a backup into the place of the database; the master must not run.
    Restore {
        file: PathBuf,
        /// What becomes of requests that waited when the backup was made.
        #[arg(long, value_enum, default_value_t = Unfinished::End)]
        unfinished: Unfinished,
    },
    /// Make a database that was restored by other means, such as `pg_restore`, fit to go on from;
    /// the master must not run.
    Adopt {
        /// What becomes of requests that waited when the backup was made.
        #[arg(long, value_enum, default_value_t = Unfinished::End)]
        unfinished: Unfinished,
    },
}

/// What becomes of requests that waited when a backup was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Unfinished {
    /// They end as lost: they may have run since.
    End,
    /// They run, also those that have run since.
    Run,
}

impl From<Unfinished> for engine::Unfinished {
    fn from(unfinished: Unfinished) -> Self {
        match unfinished {
            Unfinished::End => Self::End,
            Unfinished::Run => Self::Run,
        }
    }
}

/// Something is wrong with the data: said already, or said by this.
#[derive(Debug, thiserror::Error)]
#[error("{count} findings")]
struct Unsound {
    count: usize,
}

pub(super) fn main(config: &Path, json: bool, command: Command) -> ExitCode {
    let master = match read(config) {
        Ok(master) => master,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.context("start the runtime").and_then(|runtime| {
        runtime.block_on(async {
            // What is dropped half-way has changed nothing, and takes its files with it.
            tokio::select! {
                done = obey(&master, json, command) => done,
                told = interrupted() => {
                    told?;
                    bail!("interrupted; nothing was changed")
                }
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            code_of(&error)
        }
    }
}

async fn obey(master: &MasterSection, json: bool, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Backup { file } => backup::main(master, json, &file).await,
        Command::Verify { file: Some(file), logs } => {
            verify::backup(json, &file, logs.as_deref()).await
        }
        Command::Verify { file: None, .. } => verify::database(master, json).await,
        Command::Restore { file, unfinished } => {
            restore::main(master, json, &file, unfinished.into()).await
        }
        Command::Adopt { unfinished } => adopt::main(master, json, unfinished.into()).await,
    }
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("wait for signals")?;
    // Both branches are cancel-safe.
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn read(config: &Path) -> Result<MasterSection, ExitCode> {
    let reading = settings::read(config).map_err(|error| {
        complain(&format!("{:#}", anyhow::Error::from(error)));
        ExitCode::from(EXIT_CONFIG)
    })?;
    match reading.configuration {
        Some(configuration) => Ok(configuration.master),
        None => {
            check::report(&reading);
            Err(ExitCode::from(EXIT_CONFIG))
        }
    }
}

/// Tells data that is wrong from everything else.
fn code_of(error: &anyhow::Error) -> ExitCode {
    let is_damaged = |error: &StoreError| matches!(error, StoreError::Damaged { .. });
    let is_unsound = error.is::<Unsound>()
        || matches!(error.downcast_ref(), Some(RestoreError::Damaged { .. }))
        || matches!(error.downcast_ref(), Some(RestoreError::Store(error)) if is_damaged(error))
        || matches!(error.downcast_ref(), Some(BackupError::Store(error)) if is_damaged(error))
        || error.downcast_ref().is_some_and(is_damaged);
    if is_unsound { ExitCode::from(EXIT_DATA) } else { ExitCode::FAILURE }
}

/// What the shell draws for a database that was restored.
fn new_start() -> anyhow::Result<Start> {
    let mut incarnation = [0; 8];
    getrandom::fill(&mut incarnation).context("draw a random number")?;
    Ok(Start { incarnation: u64::from_le_bytes(incarnation), wall_us: clock::wall_us() })
}

/// Keeps every master away from a data folder, and opens its logs.
fn alone_with(master: &MasterSection) -> anyhow::Result<(Lock, Shelf)> {
    std::fs::create_dir_all(&master.data)
        .with_context(|| format!("make the data directory {}", master.data.display()))?;
    let lock = Lock::acquire(&master.data.join("lock"))
        .context("a master runs on this data directory; stop it first")?;
    Ok((lock, Shelf::open(&master.data.join("logs"))?))
}

/// Shows a time in µs since 1970 as people and `date -d` read it.
fn date(us: i64) -> String {
    let seconds = us.div_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02} UTC", second % 60)
}

/// Turns days since 1970 into year, month and day of the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin in March, so that the leap day is the last one; 719,468 days before 1970 began
    // a cycle of 400 years.
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (cycle * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        for (seconds, shown) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_650_000, "2026-11-25 23:40:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(date(seconds * 1_000_000), shown);
        }
    }
}
