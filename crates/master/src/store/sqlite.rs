//! SQLite: opened so that an acknowledged row survives a power cut.
//!
//! One writer, a few readers. Only the writer checkpoints. A lock file beside the database keeps
//! a second master away, and file systems on which SQLite's locks do not hold are refused.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use failpoint::Act;
use owner::Lock;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use super::error::Meaning;
use super::meta::{self, Meta};
use super::query::query;
use super::run::Run as _;
use super::{Origin, Start, StoreError, Writer, backup, migrate, sanity, swap};

/// Older ones can corrupt a database in WAL mode.
const OLDEST: (&str, [u32; 3]) = ("3.51.3", [3, 51, 3]);
/// How long to wait for an administrator's `sqlite3` or a backup.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS: u32 = 4;
/// Pages that the writer keeps, in KiB. It meets the same few: the newest rows and their indexes.
const WRITER_CACHE_KIB: u32 = 1_024;
/// The same of each reader, which forgets all of them with the next commit.
const READER_CACHE_KIB: u32 = 128;
const RENEWED_AT_ONCE_BYTES: usize = 64 * 1024;
/// Prepared texts kept by a connection. A small batch is one text, of ever new combinations, each
/// some 50 KB once it is prepared; the usual ones stay among so many.
const STATEMENTS: usize = 64;

/// An open SQLite database.
#[derive(Debug)]
pub struct Sqlite {
    pub(super) writer: Mutex<Writer<SqliteConnection>>,
    pub(super) readers: SqlitePool,
    options: SqliteConnectOptions,
    _lock: Lock,
}

impl Sqlite {
    pub(super) async fn open(
        path: &Path,
        start: Start,
        origin: Origin,
    ) -> Result<(Self, Meta), StoreError> {
        let lock = prepare(path)?;
        if let Some(kept) = swap::finish(path)? {
            tracing::warn!("finished a restore; the database before is in {}", kept.display());
        }
        renew_log(path)?;
        let options = options(path);
        let damaged = |source| damaged_or_unopened(path, source);
        let mut connection = options.connect().await.map_err(damaged)?;
        require_version(&mut connection).await?;
        integrity_check(&mut connection, path).await?;
        if origin == Origin::Own && backup::is_one(&mut connection).await? {
            return Err(StoreError::Backup { path: path.to_owned() });
        }
        migrate::run(&mut connection, migrate::SQLITE, start.wall_us).await?;
        sanity::check(&mut connection).await?;
        let meta = meta::epoch_raise(&mut connection, start.incarnation).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .connect_lazy_with(reader_options(path));
        Ok((Self { writer: Writer::new(connection, &meta), readers, options, _lock: lock }, meta))
    }

    /// Replaces the writer's connection; what the old one had not committed is rolled back.
    pub(super) async fn relink(
        &self,
        writer: &mut Writer<SqliteConnection>,
    ) -> Result<(), StoreError> {
        const DOING: &str = "open the database again";
        let fresh = self.options.connect().await.map_err(StoreError::query(DOING))?;
        let old = std::mem::replace(&mut writer.connection, fresh);
        // Waits for what the old one was doing: a COMMIT under way is to end before we look.
        old.close().await.map_err(StoreError::query(DOING))
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("mmap_size", "0")
        .pragma("cache_size", cache_size(WRITER_CACHE_KIB))
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging()
}

fn reader_options(path: &Path) -> SqliteConnectOptions {
    options(path)
        .pragma("query_only", "ON")
        .pragma("wal_autocheckpoint", "0")
        .pragma("cache_size", cache_size(READER_CACHE_KIB))
}

/// A size in KiB in the words of SQLite, for which a positive number would be one of pages.
fn cache_size(kib: u32) -> String {
    format!("-{kib}")
}

/// Locks the database, makes its file readable by us only, and looks where it lies.
fn prepare(path: &Path) -> Result<Lock, StoreError> {
    make_folder(path)?;
    let lock = Lock::acquire(&lock_path(path))?;
    let failed = |source| StoreError::FileSystem { path: path.to_owned(), source };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let magic = rustix::fs::fstatfs(&file).map_err(|errno| failed(errno.into()))?.f_type;
    match file_system(magic) {
        FileSystem::Network(kind) => {
            Err(StoreError::NetworkFileSystem { path: path.to_owned(), kind })
        }
        FileSystem::Doubtful(kind) => {
            tracing::warn!(
                "the database {} lies on {kind}; it is only safe if that is local and syncs",
                path.display()
            );
            Ok(lock)
        }
        FileSystem::Local => Ok(lock),
    }
}

/// Writes the write-ahead log over itself, byte for byte, and syncs it.
///
/// A sync of it may have failed under the last master, which ended for that. The kernel then takes
/// pages for clean that the disk does not have: they are read, recovered and built upon, every
/// later sync succeeds, and a power cut takes them away with all that came after them.
fn renew_log(database: &Path) -> Result<(), StoreError> {
    let path = swap::beside(database, "-wal");
    let renewed = OpenOptions::new().read(true).write(true).open(&path).and_then(|file| {
        let mut piece = vec![0; RENEWED_AT_ONCE_BYTES];
        let mut at = 0;
        loop {
            match file.read_at(&mut piece, at)? {
                0 => return failpoint::around(Act::LogRenew, || file.sync_data()),
                read => {
                    file.write_all_at(&piece[..read], at)?;
                    at += read as u64;
                }
            }
        }
    });
    match renewed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Renew { path, source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the folder of a database, for this user only.
pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    let Some(dir) = path.parent() else { return Ok(()) };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| StoreError::Directory { path: dir.to_owned(), source })
}

pub(super) fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

async fn require_version(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    const DOING: &str = "ask SQLite for its version";
    let records = connection
        .rows(query!("SELECT sqlite_version() AS version"))
        .await
        .map_err(StoreError::query(DOING))?;
    let found = records.first().map_or(Ok(String::new()), |record| record.text("version"));
    let found = found.map_err(StoreError::row(DOING))?;
    if is_new_enough(&found) {
        return Ok(());
    }
    Err(StoreError::OldSqlite { found, needed: OLDEST.0 })
}

fn is_new_enough(version: &str) -> bool {
    let numbers: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    numbers.as_slice() >= OLDEST.1.as_slice()
}

/// Has every page, row and index looked at: an index that lies would hide rows. It takes twice
/// as long as `quick_check`, 0.4 s for 600,000 rows.
async fn integrity_check(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let records = connection.rows(query!("PRAGMA integrity_check(1)")).await;
    let records = records.map_err(|source| damaged_or_unopened(path, source))?;
    let finding =
        records.first().map_or(Ok(String::new()), |record| record.text("integrity_check"));
    match finding {
        Ok(finding) if finding == "ok" => Ok(()),
        Ok(finding) => Err(StoreError::Damaged { path: path.to_owned(), finding }),
        Err(error) => {
            Err(StoreError::Damaged { path: path.to_owned(), finding: error.to_string() })
        }
    }
}

pub(super) fn damaged_or_unopened(path: &Path, source: sqlx::Error) -> StoreError {
    match Meaning::of(&source) {
        Meaning::DiskFailed => {
            StoreError::Damaged { path: path.to_owned(), finding: source.to_string() }
        }
        Meaning::Refused
        | Meaning::Conflict
        | Meaning::Busy
        | Meaning::DiskFull
        | Meaning::ConnectionLost => {
            StoreError::Open { url: format!("sqlite:{}", path.display()), source }
        }
    }
}

/// What a file system is good for.
#[derive(Debug, PartialEq, Eq)]
enum FileSystem {
    Local,
    /// Shared by machines: another master could write from elsewhere.
    Network(&'static str),
    /// Depends on what is below it.
    Doubtful(&'static str),
}

/// Judges by the magic number of `statfs`. Source: `statfs(2)` and `linux/magic.h`.
fn file_system(magic: impl Into<i128>) -> FileSystem {
    // The width and the sign of `f_type` differ between architectures; the numbers have 32 bits.
    match magic.into() & 0xffff_ffff {
        0x6969 => FileSystem::Network("NFS"),
        0x517b | 0xfe53_4d42 | 0xff53_4d42 => FileSystem::Network("an SMB share"),
        0x5346_414f | 0x6b41_4653 => FileSystem::Network("AFS"),
        0x00c3_6400 => FileSystem::Network("CephFS"),
        0x0102_1997 => FileSystem::Network("9P"),
        0x0bd0_0bd0 => FileSystem::Network("Lustre"),
        0x4750_4653 => FileSystem::Network("GPFS"),
        0x1983_0326 => FileSystem::Network("BeeGFS"),
        0x0116_1970 => FileSystem::Network("GFS2"),
        0x7461_636f => FileSystem::Network("OCFS2"),
        0x7375_7245 => FileSystem::Network("Coda"),
        0x6573_5546 => FileSystem::Doubtful("FUSE"),
        0x794c_7630 => FileSystem::Doubtful("overlayfs"),
        _other => FileSystem::Local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::query::Query;
    use crate::store::record::Record;

    #[test]
    fn network_file_systems_are_told_by_their_magic_number() {
        for (magic, kind) in [
            (0x6969_i64, "NFS"),
            (0x517b, "an SMB share"),
            (0xfe53_4d42, "an SMB share"),
            (0x5346_414f, "AFS"),
            (0x6b41_4653, "AFS"),
            (0x00c3_6400, "CephFS"),
            (0x0102_1997, "9P"),
            (0x0bd0_0bd0, "Lustre"),
            (0x4750_4653, "GPFS"),
            (0x1983_0326, "BeeGFS"),
            (0x0116_1970, "GFS2"),
            (0x7461_636f, "OCFS2"),
            (0x7375_7245, "Coda"),
        ] {
            assert_eq!(file_system(magic), FileSystem::Network(kind), "{magic:#x}");
        }
        assert_eq!(file_system(0xff53_4d42_i64), FileSystem::Network("an SMB share"));
        assert_eq!(file_system(0xff53_4d42_u32.cast_signed()), FileSystem::Network("an SMB share"));
        assert_eq!(file_system(0x794c_7630_i64), FileSystem::Doubtful("overlayfs"));
        assert_eq!(file_system(0x6573_5546_i64), FileSystem::Doubtful("FUSE"));
        for local in [0xef53_i64, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1, 0x0102_1994] {
            assert_eq!(file_system(local), FileSystem::Local, "{local:#x}");
        }
    }

    #[test]
    fn versions_of_sqlite_before_the_fix_are_refused() {
        for (version, expected) in
            [("3.51.3", true), ("3.52.0", true), ("4.0.0", true), ("3.51.2", false), ("", false)]
        {
            assert_eq!(is_new_enough(version), expected, "{version}");
        }
    }
    #[tokio::test]
    async fn connections_keep_few_pages() {
        let folder = tempfile::tempdir().unwrap();
        let start = Start { incarnation: 7, wall_us: 1 };
        let path = folder.path().join("state.db");
        let (sqlite, _meta) = Sqlite::open(&path, start, Origin::Own).await.unwrap();
        let size = |records: Vec<Record>| records[0].int("cache_size").unwrap();
        let asked = || query!("PRAGMA cache_size");
        let written = sqlite.writer.lock().await.connection.rows(asked()).await.unwrap();
        let read = sqlite.readers.acquire().await.unwrap().rows(asked()).await.unwrap();
        assert_eq!((size(written), size(read)), (-1_024, -128));
    }
    #[tokio::test]
    async fn of_ever_new_texts_few_stay_prepared() {
        let mut connection = options(Path::new(":memory:")).connect().await.unwrap();
        for number in 0..2 * STATEMENTS {
            let text = format!("SELECT {number}").into();
            connection.rows(Query { text, cells: Vec::new() }).await.unwrap();
        }
        assert_eq!(connection.cached_statements_size(), 64);
    }
}
