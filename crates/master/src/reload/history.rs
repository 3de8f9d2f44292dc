//! The configuration a master starts with, and what earlier ones have to do with it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use config::{Name, Node, SourceFile, is_same};
use engine::row::Revision;
use engine::settings::Settings;

use super::candidate::{Running, rows};
use super::retained::Retained;
use crate::settings::Reading;
use crate::store::{Store, StoreError, revision_of};

/// What a master starts with.
#[derive(Debug)]
pub struct Beginning(pub(super) Running);

/// Notes the configuration that a master starts with, completes the settings, and finds the
/// builders that it no longer has and for which something waits.
///
/// # Errors
/// When the database does not answer; it can be tried again.
pub async fn begin(
    store: &Store,
    reading: &Reading,
    settings: &mut Settings,
    now_us: i64,
) -> Result<Beginning, StoreError> {
    let (tree, files) = (reading.tree.clone(), reading.files.clone());
    let newest = store.revision_newest().await?;
    let revision = match newest.as_ref().map(|newest| (newest.n, tree_of(newest).0)) {
        Some((n, newest)) if is_same(&newest, &tree) => n,
        newest => {
            let n = newest.map_or(0, |(n, _)| n) + 1;
            store.revision_put(&revision_of(n, rows(&files), now_us)).await?;
            n
        }
    };
    settings.revision = revision;
    let mut retained = Vec::new();
    for builder in store.request_builders().await? {
        if settings.builders.contains_key(&builder) {
            continue;
        }
        if let Some(found) = find(store, &builder, revision).await?
            && found.join(&tree, &files, settings)
        {
            retained.push(found);
        }
    }
    let started = tree.clone();
    Ok(Beginning(Running { revision, tree, files, started, retained }))
}

/// Finds the newest configuration that has a builder.
async fn find(store: &Store, builder: &Name, newest: i64) -> Result<Option<Retained>, StoreError> {
    for n in (1..=newest).rev() {
        let Some(revision) = store.revision_get(n).await? else { continue };
        let (tree, files) = tree_of(&revision);
        let found = Retained::of(builder, &tree, &files);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Reads the files of a configuration that was accepted.
fn tree_of(revision: &Revision) -> (Node, Vec<SourceFile>) {
    let file = |file: &engine::row::RevisionFile| {
        let path = Path::new(OsStr::from_bytes(&file.path));
        let folder = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        SourceFile {
            path: path.to_owned(),
            folder: folder.parent().unwrap_or(Path::new("/")).to_owned(),
            text: String::from_utf8_lossy(&file.text).into_owned(),
        }
    };
    let files: Vec<SourceFile> = revision.files.iter().map(file).collect();
    // It was accepted without errors; what a newer version says of it does not matter here.
    let (tree, _problems) = config::parse(&files);
    (tree, files)
}
