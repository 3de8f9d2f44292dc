//! The files of a configuration: the one named, and `conf.d/*.toml` beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use config::SourceFile;

/// A configuration larger than this was not written by people.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// A file of the configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("read the configuration {path}; give another with --config FILE")]
    Read { path: PathBuf, source: io::Error },
    #[error("the configuration {path} is not UTF-8; the first bad byte is at {at}")]
    NotText { path: PathBuf, at: usize },
    #[error("the configuration {path} is larger than {MOST_BYTES} bytes")]
    TooLarge { path: PathBuf },
}

/// Reads all files, the named one first, the others in the order of their names.
pub(super) fn read(path: &Path) -> Result<Vec<SourceFile>, FilesError> {
    let mut files = vec![read_one(path)?];
    let folder = path.parent().unwrap_or(Path::new("")).join("conf.d");
    let mut more: Vec<PathBuf> = match fs::read_dir(&folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(|source| FilesError::Read { path: folder, source })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(FilesError::Read { path: folder, source }),
    };
    more.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    more.sort();
    for path in more {
        files.push(read_one(&path)?);
    }
    Ok(files)
}

fn read_one(path: &Path) -> Result<SourceFile, FilesError> {
    let failed = |source| FilesError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > MOST_BYTES {
        return Err(FilesError::TooLarge { path: path.to_owned() });
    }
    let bytes = fs::read(path).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|bad| FilesError::NotText {
        path: path.to_owned(),
        at: bad.utf8_error().valid_up_to(),
    })?;
    let folder = std::path::absolute(path).map_err(failed)?;
    let folder = folder.parent().unwrap_or(&folder).to_owned();
    Ok(SourceFile { path: path.to_owned(), folder, text })
}
