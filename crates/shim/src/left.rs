//! What a command leaves for its build: a file below its working directory.
//!
//! The file is removed before the command runs, so that nothing of an earlier one is taken for its
//! own, and read once, when all its processes are gone. No symlink is followed below the working
//! directory, and only a regular file counts.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Mode, OFlags, open, openat, unlinkat};
use serde::{Deserialize, Serialize};

use crate::mask::Mask;
use crate::spec::Spec;

/// The file a command was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftFile {
    /// Below the working directory.
    #[serde(with = "serde_bytes")]
    pub path: Vec<u8>,
    /// A longer one is left alone.
    pub most_bytes: u64,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Left {
    /// What the file held.
    Written(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Why there is nothing.
    Missing(String),
}

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
/// A pipe of that name must not keep the supervisor waiting.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

/// Removes what an earlier command left. What cannot be removed is not there, or will be refused.
pub(crate) fn clear(spec: &Spec) {
    if let Some(file) = &spec.left
        && let Ok((folder, name)) = resolve(&spec.cwd, &file.path)
    {
        unlinkat(&folder, &name, AtFlags::empty()).ok();
    }
}

/// Reads what the command left, where it was asked for something.
pub(crate) fn read(spec: &Spec, mask: Option<&Mask>) -> Option<Left> {
    let file = spec.left.as_ref()?;
    let name = String::from_utf8_lossy(&file.path).into_owned();
    let left = read_file(&spec.cwd, file);
    // Half of a property is of no use, so it is refused as a whole.
    if let (Ok(Left::Written(bytes)), Some(mask)) = (&left, mask)
        && let Some(secret) = mask.found_in(bytes)
    {
        return Some(Left::Missing(format!("`{name}` holds the secret `{secret}`")));
    }
    Some(left.unwrap_or_else(|why| {
        Left::Missing(if why.kind() == io::ErrorKind::NotFound {
            format!("it wrote no `{name}`")
        } else {
            format!("`{name}` cannot be read: {why}")
        })
    }))
}

fn read_file(cwd: &[u8], file: &LeftFile) -> io::Result<Left> {
    let (folder, name) = resolve(cwd, &file.path)?;
    let opened = File::from(openat(&folder, &name, FILE, Mode::empty())?);
    if !opened.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    opened.take(file.most_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > file.most_bytes {
        return Err(io::Error::other(format!("it is longer than {} bytes", file.most_bytes)));
    }
    Ok(Left::Written(bytes))
}

/// Returns the folder of a file below a directory, and its name there.
fn resolve(cwd: &[u8], path: &[u8]) -> io::Result<(OwnedFd, std::ffi::OsString)> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let outside = || io::Error::other("it is not below the working directory");
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => names.push(name),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(outside());
            }
        }
    }
    let (last, folders) = names.split_last().ok_or_else(outside)?;
    let mut here = open(cwd, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for folder in folders {
        here = openat(here.as_fd(), *folder, FOLDER, Mode::empty())?;
    }
    Ok((here, (*last).to_owned()))
}
