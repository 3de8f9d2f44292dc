//! A copy of an SQLite database that can prove that it is whole.
//!
//! It is made while a master may be writing: one state of the database is read, by a reader of
//! its own. The copy has one table more, `backup`, with a random word and the SHA-256 of the whole
//! file, read with zeros where that digest itself stands. So every byte that changes later is
//! found. A master does not run on such a file before it was adopted.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use failpoint::Act;
use memchr::memmem;
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::query::query;
use super::record::ReadError;
use super::run::Run as _;
use super::{StoreError, sqlite};

const TABLE: &str = "CREATE TABLE backup (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), \
    taken_us INTEGER NOT NULL, word BLOB NOT NULL, sha256 BLOB NOT NULL) STRICT";
const WORD_BYTES: usize = 16;
const DIGEST_BYTES: usize = 32;
/// Read at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// Why there is no backup, or none that can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{path} exists; a backup is never overwritten, so choose another name")]
    Exists { path: PathBuf },
    #[error("{path} is no path for a backup: it has no file name, or is not UTF-8")]
    Path { path: PathBuf },
    #[error("write the backup {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("read the backup {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("copy the database {path}")]
    Copy { path: PathBuf, source: sqlx::Error },
    #[error("seal the backup {path}")]
    Seal { path: PathBuf, source: sqlx::Error },
    #[error("draw a random number")]
    Random(#[source] getrandom::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a file is what it was when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// Every byte is as it was written. The time is in µs since 1970.
    Whole {
        taken_us: i64,
    },
    Broken,
    /// Not made by `make`: nothing tells whether a byte has changed.
    Missing,
}

/// Makes a backup of a database that has no name yet.
///
/// # Errors
/// When there is something at `to`, or a disk is full or fails.
pub async fn draft(from: &Path, to: &Path, taken_us: i64) -> Result<Draft, BackupError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(BackupError::Exists { path: to.to_owned() });
    }
    let draft = Draft::create(to)?;
    let path = draft.path();
    copy(from, &path).await?;
    seal(&path, taken_us).await?;
    Ok(draft)
}

/// A backup without its name, in a folder beside that. Dropped, it goes with all that SQLite made
/// there, whose thread may still be at work.
#[derive(Debug)]
pub struct Draft {
    folder: PathBuf,
    target: PathBuf,
}

impl Draft {
    fn create(target: &Path) -> Result<Self, BackupError> {
        let bad = || BackupError::Path { path: target.to_owned() };
        let name = target.file_name().and_then(|name| name.to_str()).ok_or_else(bad)?;
        let folder = target.with_file_name(format!(".{name}.{}", std::process::id()));
        folder.to_str().ok_or_else(bad)?;
        let failed = |source| BackupError::Write { path: folder.clone(), source };
        DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
        let draft = Self { folder: folder.clone(), target: target.to_owned() };
        let create = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft.path());
        create.map_err(failed)?;
        Ok(draft)
    }

    /// Returns where it can be read.
    pub fn path(&self) -> PathBuf {
        self.folder.join("backup")
    }

    /// Gives it its name; it is on disk when this returns.
    ///
    /// # Errors
    /// When there is something of that name by now, or the disk fails.
    pub fn publish(self) -> Result<(), BackupError> {
        let target = self.target.clone();
        let failed = |source: io::Error| {
            let path = target.clone();
            if source.kind() == io::ErrorKind::AlreadyExists {
                return BackupError::Exists { path };
            }
            BackupError::Write { path, source }
        };
        let path = self.path();
        let sync = || File::open(&path).and_then(|file| file.sync_all());
        failpoint::around(Act::BackupSync, sync).map_err(failed)?;
        // Unlike a rename it replaces nothing.
        failpoint::around(Act::BackupLink, || fs::hard_link(&path, &target)).map_err(failed)?;
        drop(self);
        failpoint::around(Act::BackupFolder, || sync_folder(&target)).map_err(failed)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A file that was made meanwhile keeps the folder for another round.
        let removed = (0..8).map(|_| fs::remove_dir_all(&self.folder)).find(Result::is_ok);
        if removed.is_none() {
            tracing::warn!("{} is left and may be removed", self.folder.display());
        }
    }
}

/// Makes a change of a folder durable.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

async fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Copy { path: from.to_owned(), source };
    let options = SqliteConnectOptions::new()
        .filename(from)
        .busy_timeout(sqlite::BUSY_TIMEOUT)
        .read_only(true)
        .disable_statement_logging();
    let mut connection = options.connect().await.map_err(failed)?;
    failpoint::before(Act::BackupCopy);
    let copied = sqlx::query("VACUUM INTO $1")
        .bind(to.to_str())
        .execute(&mut connection)
        .await
        .map_err(failed);
    failpoint::after(Act::BackupCopy);
    connection.close().await.map_err(failed)?;
    copied.map(drop)
}

/// Adds the table `backup`, then writes the digest of everything else into its place.
async fn seal(path: &Path, taken_us: i64) -> Result<(), BackupError> {
    let mut word = [0; WORD_BYTES];
    getrandom::fill(&mut word).map_err(BackupError::Random)?;
    add_table(path, &word, taken_us)
        .await
        .map_err(|source| BackupError::Seal { path: path.to_owned(), source })?;
    let sealed = || {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let (at, digest) = digest(&file, &word)?.ok_or(io::ErrorKind::NotFound)?;
        failpoint::around(Act::BackupSeal, || file.write_all_at(&digest, at))
    };
    sealed().map_err(|source| BackupError::Write { path: path.to_owned(), source })
}

async fn add_table(path: &Path, word: &[u8], taken_us: i64) -> sqlx::Result<()> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Delete)
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    failpoint::before(Act::BackupTable);
    connection.script(TABLE).await?;
    failpoint::after(Act::BackupTable);
    let zeros = [0; DIGEST_BYTES];
    let row = query!(
        "INSERT INTO backup (one, taken_us, word, sha256) VALUES (1, $1, $2, $3)",
        taken_us,
        word,
        zeros.as_slice()
    );
    connection.run(row).await?;
    connection.close().await
}

/// Says whether a database is a backup that was not adopted.
pub(super) async fn is_one(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    const DOING: &str = "look whether the database is a backup";
    let table = "SELECT name FROM sqlite_schema WHERE name = 'backup'";
    let records = connection.script(table).await.map_err(StoreError::query(DOING))?;
    Ok(!records.is_empty())
}

/// Looks over every byte of a file that nobody has open.
///
/// # Errors
/// When it cannot be read at all; damage is the answer.
pub async fn check(path: &Path) -> Result<Seal, BackupError> {
    let failed = |source| BackupError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut magic = [0; 15];
    if file.read_exact(&mut magic).is_err() || magic != *b"SQLite format 3" {
        return Ok(Seal::Broken);
    }
    // An error means that the pages which tell are damaged.
    let Ok(noted) = noted(path).await else { return Ok(Seal::Broken) };
    let Some((taken_us, word, expected)) = noted else { return Ok(Seal::Missing) };
    let found = digest(&file, &word).map_err(failed)?;
    Ok(match found {
        Some((_, found)) if found.as_slice() == expected => Seal::Whole { taken_us },
        Some(_) | None => Seal::Broken,
    })
}

type Noted = (i64, Vec<u8>, Vec<u8>);

async fn noted(path: &Path) -> Result<Option<Noted>, StoreError> {
    const DOING: &str = "read the seal of the backup";
    let mut connection = at_rest(path).connect().await.map_err(StoreError::query(DOING))?;
    if !is_one(&mut connection).await? {
        return Ok(None);
    }
    let row = "SELECT taken_us, word, sha256 FROM backup";
    let records = connection.script(row).await.map_err(StoreError::query(DOING))?;
    connection.close().await.map_err(StoreError::query(DOING))?;
    let record = records.first().ok_or_else(|| ReadError::new("one", "the row is missing"));
    let noted = record.and_then(|record| {
        Ok((record.int("taken_us")?, record.bytes("word")?, record.bytes("sha256")?))
    });
    noted.map(Some).map_err(StoreError::row(DOING))
}

/// How to open a file that nobody writes, so that nothing appears beside it.
pub(super) fn at_rest(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
    options.disable_statement_logging()
}

/// Returns where the digest stands, and what it should be; `None` where the word is not found
/// exactly once.
fn digest(file: &File, word: &[u8]) -> io::Result<Option<(u64, [u8; DIGEST_BYTES])>> {
    let Some(at) = find_once(file, word)? else { return Ok(None) };
    let at = at + word.len() as u64;
    let mut hash = Sha256::new();
    pieces(file, 0, |offset, piece| {
        let within = |place: u64| {
            let place = usize::try_from(place.saturating_sub(offset)).unwrap_or(usize::MAX);
            place.min(piece.len())
        };
        let (from, to) = (within(at), within(at + DIGEST_BYTES as u64));
        piece[from..to].fill(0);
        hash.update(piece);
    })?;
    Ok(Some((at, hash.finalize().into())))
}

fn find_once(file: &File, word: &[u8]) -> io::Result<Option<u64>> {
    let finder = memmem::Finder::new(word);
    let overlap = word.len().saturating_sub(1);
    let mut found = Vec::new();
    pieces(file, overlap, |offset, piece| {
        found.extend(finder.find_iter(piece).map(|at| offset + at as u64));
    })?;
    found.dedup();
    Ok(if let [at] = found[..] { Some(at) } else { None })
}

/// Reads a file in pieces, each with the last `overlap` bytes of the one before.
fn pieces(file: &File, overlap: usize, mut take: impl FnMut(u64, &mut [u8])) -> io::Result<()> {
    let mut file = file;
    file.seek(SeekFrom::Start(0))?;
    let mut piece = vec![0; PIECE_BYTES + overlap];
    let (mut offset, mut kept) = (0_u64, 0);
    loop {
        let read = fill(&mut file, &mut piece[kept..kept + PIECE_BYTES])?;
        if read == 0 {
            return Ok(());
        }
        let length = kept + read;
        take(offset, &mut piece[..length]);
        let keep = overlap.min(length);
        piece.copy_within(length - keep..length, 0);
        offset += (length - keep) as u64;
        kept = keep;
    }
}

fn fill(file: &mut &File, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read(&mut into[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Copies a file into a new one for this user only, and syncs it.
pub(super) fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut target)?;
    target.flush()?;
    target.sync_all()
}
