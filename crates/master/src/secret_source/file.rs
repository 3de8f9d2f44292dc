//! `file = "/path"`: a file that its owner alone can read.

use std::path::PathBuf;

use config::{Context, Decode as _, Entry};
use secret::Secret;

use super::{Kind, SecretError, SecretSource, guarded};

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource {
    path: PathBuf,
}

pub(super) const KIND: Kind = Kind { key: "file", decode };

fn decode(entry: &Entry, cx: &mut Context<'_>) -> Option<SecretSource> {
    let path = PathBuf::decode(&entry.value, cx)?;
    guarded::check(&path, entry.value.span, cx);
    Some(SecretSource::File(FileSource { path }))
}

impl FileSource {
    pub(super) async fn read(&self) -> Result<Secret, SecretError> {
        let path = self.path.clone();
        threads::blocking(move || guarded::read(&path)).await?
    }
}
