//! Puts a restored database into the place of the present one, whose files are kept.
//!
//! `state.db.restoring` is the new database, complete. Where it is found the swap was decided:
//! whoever holds the lock of the database finishes it, however often it is cut off. The old files
//! go into `state.db.before-TIME` first, so that no write-ahead log ever meets another database.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use failpoint::Act;

use super::StoreError;
use super::backup::sync_folder;

/// What SQLite keeps beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Returns a path beside the database.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes what SQLite keeps beside a database that nobody wants any more.
pub(super) fn remove_beside(database: &Path) -> io::Result<()> {
    for suffix in BESIDE {
        match fs::remove_file(beside(database, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Decides that `staged`, which is synced, becomes the database, and makes it so. Returns where
/// the old one is.
pub(super) fn begin(staged: &Path, database: &Path) -> Result<Option<PathBuf>, StoreError> {
    let restoring = beside(database, ".restoring");
    let decide = || fs::rename(staged, &restoring);
    let decided = failpoint::around(Act::SwapDecide, decide)
        .and_then(|()| failpoint::around(Act::SwapDecideFolder, || sync_folder(database)));
    decided.map_err(|source| StoreError::Swap { path: database.to_owned(), source })?;
    finish(database)
}

/// Finishes a swap that was decided, if one was.
pub(super) fn finish(database: &Path) -> Result<Option<PathBuf>, StoreError> {
    let restoring = beside(database, ".restoring");
    let finished = match fs::metadata(&restoring) {
        Ok(metadata) => {
            let at = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let seconds = at.map_or(0, |at| at.as_secs());
            replace(&restoring, database, &beside(database, &format!(".before-{seconds}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    finished.map_err(|source| StoreError::Swap { path: database.to_owned(), source })
}

fn replace(restoring: &Path, database: &Path, kept: &Path) -> io::Result<Option<PathBuf>> {
    let mut old: Vec<PathBuf> = BESIDE.iter().map(|suffix| beside(database, suffix)).collect();
    // The database itself goes last: without it the others mean nothing to anybody.
    old.push(database.to_owned());
    for path in &old {
        keep(path, kept)?;
    }
    failpoint::around(Act::SwapPlace, || fs::rename(restoring, database))?;
    failpoint::around(Act::SwapPlaceFolder, || sync_folder(database))?;
    Ok(kept.exists().then(|| kept.to_owned()))
}

fn keep(path: &Path, kept: &Path) -> io::Result<()> {
    let Some(name) = path.file_name().filter(|_| path.exists()) else { return Ok(()) };
    if !kept.exists() {
        fs::create_dir(kept)?;
    }
    let target = kept.join(name);
    failpoint::around(Act::SwapKeep, || fs::rename(path, &target))?;
    failpoint::around(Act::SwapKeepFolder, || sync_folder(&target))?;
    failpoint::around(Act::SwapKeepFolder, || sync_folder(path))
}
