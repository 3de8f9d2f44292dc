//! Makes a restored backup the database of a master that goes on.
//!
//! Whatever happened between the backup and now happened; the database does not know it. So it
//! gets a new incarnation, every counter leaves a gap, and what it believed to run or to wait is
//! in doubt or ended (`engine::after_backup`). All of that is one transaction.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use attempt::CommandId;
use attempt::master::State;
use engine::row::RequestState;
use engine::{Unfinished, Write};
use failpoint::Act;
use owner::{Lock, LockError};

use super::backup::{self, BackupError};
use super::given_out::GivenOut;
use super::{Origin, Start, StateUrl, Store, StoreError, meta, row, sqlite, swap, verify};

/// What an adopted database begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Adopted {
    pub incarnation: String,
    /// Requests that end because they may have run since.
    pub ended: u64,
    /// Commands of which only their workers know whether they still run.
    pub doubtful: u64,
    /// Logs of commands that the database does not know.
    #[serde(skip)]
    pub unknown: Vec<CommandId>,
}

/// What came of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub adopted: Adopted,
    /// When the backup was made, µs since 1970.
    pub taken_us: i64,
    /// Where the files of the database before are.
    pub kept: Option<PathBuf>,
}

/// Why a database was not restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("a master runs on the database; stop it first")]
    Running(#[source] LockError),
    #[error("{path} is no backup to restore: {}", .findings.join("; "))]
    Damaged { path: PathBuf, findings: Vec<String> },
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("copy the backup to {path}")]
    Copy { path: PathBuf, source: io::Error },
}

/// Puts a backup into the place of an SQLite database, for the next start of its master.
/// `logs` are the commands of which there are logs.
///
/// # Errors
/// When a master runs on it, the backup is damaged, or a disk fails.
pub async fn restore(
    backup: &Path,
    database: &Path,
    start: Start,
    unfinished: Unfinished,
    logs: &[CommandId],
) -> Result<Restored, RestoreError> {
    let inspection = verify::file(backup, &mut |_| {}).await?;
    let (Some(taken_us), []) = (inspection.taken_us, inspection.findings.as_slice()) else {
        let (path, findings) = (backup.to_owned(), inspection.findings);
        return Err(RestoreError::Damaged { path, findings });
    };
    sqlite::make_folder(database)?;
    let _lock = Lock::acquire(&sqlite::lock_path(database)).map_err(RestoreError::Running)?;
    let staged = swap::beside(database, ".incoming");
    let failed = |source| RestoreError::Copy { path: staged.clone(), source };
    // What an earlier restore left belongs to another copy.
    swap::remove_beside(&staged).map_err(failed)?;
    failpoint::around(Act::RestoreCopy, || backup::copy_file(backup, &staged)).map_err(failed)?;
    let before = GivenOut::of(database).await;
    let url = StateUrl::Sqlite(staged.clone());
    let adopted = adopt_beyond(&before, &url, start, unfinished, logs).await?;
    let sync = || fs::File::open(&staged).and_then(|file| file.sync_all());
    failpoint::around(Act::RestoreSync, sync).map_err(failed)?;
    if swap::beside(&staged, "-wal").exists() {
        let what = "its write-ahead log could not be folded into it";
        return Err(failed(io::Error::other(what)));
    }
    let kept = swap::begin(&staged, database)?;
    // Nobody needs it any more; where it stays it does no harm.
    drop(fs::remove_file(sqlite::lock_path(&staged)));
    Ok(Restored { adopted, taken_us, kept })
}

/// Makes a database that was restored by other means, such as `pg_restore`, safe to go on from.
///
/// # Errors
/// When a master runs on it, or it cannot be read or written.
pub async fn adopt(
    url: &StateUrl,
    start: Start,
    unfinished: Unfinished,
    logs: &[CommandId],
) -> Result<Adopted, StoreError> {
    adopt_beyond(&GivenOut::default(), url, start, unfinished, logs).await
}

async fn adopt_beyond(
    before: &GivenOut,
    url: &StateUrl,
    start: Start,
    unfinished: Unfinished,
    logs: &[CommandId],
) -> Result<Adopted, StoreError> {
    let opened = Store::open_of(url, start, Origin::Restored).await?;
    let outcome = opened.store.reincarnate(before, start, unfinished, logs).await;
    opened.store.close().await;
    outcome
}

impl Store {
    async fn reincarnate(
        &self,
        before: &GivenOut,
        start: Start,
        unfinished: Unfinished,
        logs: &[CommandId],
    ) -> Result<Adopted, StoreError> {
        let writes = engine::after_backup(self.load().await?, unfinished, start.wall_us);
        let mut statements: Vec<_> = writes.iter().map(row::write).collect();
        statements.extend(meta::reincarnate(start));
        statements.extend(before.exceed());
        self.write("leave the past of the backup behind", statements).await?;
        let mut adopted = Adopted {
            incarnation: format!("{:016x}", start.incarnation),
            ended: count(&writes, is_ended),
            doubtful: count(&writes, is_doubtful),
            unknown: Vec::new(),
        };
        for command in logs {
            if self.command_by_id(*command).await?.is_none() {
                adopted.unknown.push(*command);
            }
        }
        Ok(adopted)
    }
}

fn count(writes: &[Write], counts: fn(&Write) -> bool) -> u64 {
    writes.iter().filter(|write| counts(write)).count() as u64
}

fn is_ended(write: &Write) -> bool {
    matches!(write, Write::Request(row) if matches!(row.state, RequestState::Done { .. }))
}

fn is_doubtful(write: &Write) -> bool {
    matches!(write, Write::Command(row) if matches!(row.half.state, State::Doubtful { .. }))
}
