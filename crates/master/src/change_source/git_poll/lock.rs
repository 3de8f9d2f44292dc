//! Lock files that a killed git left in a mirror. With one of them every later git gives up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Removes the locks of settings and references. No reference is called so: git forbids it.
///
/// # Errors
/// When a folder cannot be read or a file not removed.
pub(super) fn remove_all(mirror: &Path) -> io::Result<()> {
    for folder in folders(mirror)? {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "lock") {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

/// Lists the mirror's own folder and all below its `refs`.
fn folders(mirror: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = vec![mirror.to_owned(), mirror.join("refs")];
    folders.retain(|folder| folder.is_dir());
    let mut next = 1;
    while let Some(folder) = folders.get(next) {
        let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
        folders.extend(entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_dir()));
        next += 1;
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_removed_and_nothing_else() {
        let mirror = tempfile::tempdir().unwrap();
        let file = |name: &str| mirror.path().join(name);
        fs::create_dir_all(file("refs/yardmaster/feature")).unwrap();
        let locks = ["packed-refs.lock", "refs/yardmaster/feature/x.lock"];
        let kept = ["HEAD", "refs/yardmaster/feature/x", "refs/yardmaster/locked"];
        for name in locks.iter().chain(&kept) {
            fs::write(file(name), "").unwrap();
        }
        remove_all(mirror.path()).unwrap();
        assert_eq!(locks.map(|name| file(name).exists()), [false; 2]);
        assert_eq!(kept.map(|name| file(name).exists()), [true; 3]);
        remove_all(&file("none")).unwrap();
    }
}
