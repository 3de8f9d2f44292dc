//! What can go wrong with the database, and what it means for the batch at hand.

use std::io;
use std::path::PathBuf;

use owner::LockError;

use super::record::ReadError;

/// The store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("lock the database")]
    Lock(#[from] LockError),
    #[error(
        "another master holds the database ({holder}); stop it first, or give this master \
         another `state`"
    )]
    Held { holder: String },
    #[error("create the directory of the database, {path}")]
    Directory { path: PathBuf, source: io::Error },
    #[error("write {path} once more, so that the disk has it for certain")]
    Renew { path: PathBuf, source: io::Error },
    #[error("look at the file system of {path}")]
    FileSystem { path: PathBuf, source: io::Error },
    #[error(
        "{path} lies on {kind}, where SQLite's locks and syncs do not hold; \
         put `state` on a local disk or use PostgreSQL"
    )]
    NetworkFileSystem { path: PathBuf, kind: &'static str },
    #[error(
        "SQLite {found} can corrupt a database in WAL mode; \
         build with the bundled library, {needed} or newer"
    )]
    OldSqlite { found: String, needed: &'static str },
    #[error(
        "the database {path} is damaged ({finding}); the master must not run on it. Restore the \
         last backup with `master db restore FILE`, which keeps the damaged files beside it; \
         logs and running commands are not touched"
    )]
    Damaged { path: PathBuf, finding: String },
    #[error(
        "{path} is a backup that was put in the place of a database; what it knows may be \
         outdated: run `master db adopt` before the master"
    )]
    Backup { path: PathBuf },
    #[error("put the restored database into the place of {path}")]
    Swap { path: PathBuf, source: io::Error },
    #[error(
        "the PostgreSQL database stores text as {encoding}; \
         make one with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`"
    )]
    Encoding { encoding: String },
    #[error("open the database {url}")]
    Open { url: String, source: sqlx::Error },
    #[error(
        "the database was written by a newer version (schema {found}, this program knows \
         {known}); start that version, or restore the backup made before the upgrade"
    )]
    Newer { found: i64, known: i64 },
    #[error("apply migration {n} ({name})")]
    Migrate { n: i64, name: &'static str, source: sqlx::Error },
    #[error("{doing}")]
    Query { doing: &'static str, source: sqlx::Error },
    #[error(
        "{doing}; the row is damaged, or was not written by this program: restore the last \
         backup with `master db restore FILE`"
    )]
    Row { doing: &'static str, source: ReadError },
    #[error(
        "{}: ids would be given out again. Restore the last backup with \
         `master db restore FILE`",
        .findings.join("; ")
    )]
    Counters { findings: Vec<String> },
    #[error("another master took over the database; this one must stop")]
    Deposed,
}

impl StoreError {
    /// Says whether starting again cannot help: somebody has to change something first.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NetworkFileSystem { .. }
            | Self::OldSqlite { .. }
            | Self::Damaged { .. }
            | Self::Backup { .. }
            | Self::Counters { .. }
            | Self::Encoding { .. }
            | Self::Newer { .. }
            | Self::Row { .. } => true,
            Self::Lock(_)
            | Self::Held { .. }
            | Self::Directory { .. }
            | Self::FileSystem { .. }
            | Self::Renew { .. }
            | Self::Swap { .. }
            | Self::Open { .. }
            | Self::Migrate { .. }
            | Self::Query { .. }
            | Self::Deposed => false,
        }
    }

    /// Says whether asking again cannot help while this master runs.
    pub fn is_final(&self) -> bool {
        self.is_permanent() || matches!(self, Self::Deposed)
    }

    pub(super) fn query(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Query { doing, source }
    }

    pub(super) fn row(doing: &'static str) -> impl FnOnce(ReadError) -> Self {
        move |source| Self::Row { doing, source }
    }
}

/// A batch was not committed, or it is not known whether it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing of it is in the database. Restore, replay, retry event by event: a bad one then
    /// fails alone.
    #[error("commit batch {batch}: refused")]
    RolledBack { batch: i64, source: sqlx::Error },
    /// Nothing of it is in the database: somebody else holds its lock for longer than we wait.
    /// The same batch can be committed later.
    #[error("commit batch {batch}: the database is locked by another program")]
    Busy { batch: i64, source: sqlx::Error },
    /// Nothing of it is in the database. New work must be refused until there is space.
    #[error("commit batch {batch}: the disk of the database is full")]
    DiskFull { batch: i64, source: sqlx::Error },
    /// The connection was lost. `Store::batch_now` tells the outcome: it is committed if the
    /// number is at least this batch's.
    #[error("commit batch {batch}: the connection to the database was lost")]
    Unknown { batch: i64, source: sqlx::Error },
    /// The disk failed, or the database is damaged. Nothing more may be acknowledged: stop, and
    /// start again from what the disk really holds.
    #[error("commit batch {batch}: the disk of the database failed; stop and check it")]
    DiskFailed { batch: i64, source: sqlx::Error },
    /// Another master raised the epoch. Nothing of the batch is in the database; stop.
    #[error("another master took over the database; this one must stop")]
    Deposed,
}

/// What an error of the database means for the transaction it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Refused,
    /// A conflict with another transaction: the whole one can be tried again at once.
    Conflict,
    Busy,
    DiskFull,
    DiskFailed,
    ConnectionLost,
}

impl Meaning {
    /// Says whether the connection must be replaced before it is used again.
    pub(super) fn leaves_doubt(self) -> bool {
        match self {
            Self::ConnectionLost | Self::DiskFailed => true,
            Self::Refused | Self::Conflict | Self::Busy | Self::DiskFull => false,
        }
    }

    /// Judges an error by SQLite's result code or PostgreSQL's SQLSTATE.
    #[expect(clippy::wildcard_enum_match_arm, reason = "sqlx may add errors of its own")]
    pub(super) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                    Self::of_sqlite(code.parse().unwrap_or(0))
                } else {
                    Self::of_sqlstate(&code)
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::ConnectionLost,
            // The rest never reached the database.
            _ => Self::Refused,
        }
    }

    /// Judges SQLite's extended result code. Source: <https://sqlite.org/rescode.html>.
    pub(super) fn of_sqlite(code: i32) -> Self {
        match code & 0xff {
            5 | 6 => Self::Busy,
            10 | 11 | 26 => Self::DiskFailed,
            13 => Self::DiskFull,
            _other => Self::Refused,
        }
    }

    /// Judges a SQLSTATE. Source: appendix A of PostgreSQL's manual.
    pub(super) fn of_sqlstate(code: &str) -> Self {
        match code {
            "40001" | "40P01" => Self::Conflict,
            "53100" => Self::DiskFull,
            "55P03" => Self::Busy,
            "58030" | "XX001" | "XX002" => Self::DiskFailed,
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Self::ConnectionLost,
            class if class.starts_with("08") => Self::ConnectionLost,
            _other => Self::Refused,
        }
    }
}

impl CommitError {
    pub(super) fn new(batch: i64, source: sqlx::Error) -> Self {
        match Meaning::of(&source) {
            Meaning::Refused | Meaning::Conflict => Self::RolledBack { batch, source },
            Meaning::Busy => Self::Busy { batch, source },
            Meaning::DiskFull => Self::DiskFull { batch, source },
            Meaning::DiskFailed => Self::DiskFailed { batch, source },
            Meaning::ConnectionLost => Self::Unknown { batch, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Meaning;

    #[test]
    fn codes_of_both_databases_are_judged() {
        assert_eq!(Meaning::of_sqlite(5), Meaning::Busy);
        assert_eq!(Meaning::of_sqlite(13), Meaning::DiskFull);
        assert_eq!(Meaning::of_sqlite(1034), Meaning::DiskFailed, "SQLITE_IOERR_FSYNC");
        assert_eq!(Meaning::of_sqlite(2067), Meaning::Refused, "SQLITE_CONSTRAINT_UNIQUE");
        assert_eq!(Meaning::of_sqlstate("53100"), Meaning::DiskFull);
        assert_eq!(Meaning::of_sqlstate("40P01"), Meaning::Conflict);
        assert_eq!(Meaning::of_sqlstate("57P01"), Meaning::ConnectionLost);
        assert_eq!(Meaning::of_sqlstate("08006"), Meaning::ConnectionLost);
        assert_eq!(Meaning::of_sqlstate("23505"), Meaning::Refused);
    }
}
