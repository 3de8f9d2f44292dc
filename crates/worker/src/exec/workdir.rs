//! Working directories: `WORK/<builder>/<slot>/build`, and the step's own below it.
//!
//! A command may have left symbolic links anywhere in its slot. The way down to `build` follows
//! none; below it links are followed only as far as they stay below.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use config::Name;
use proto::message::command::Start;
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, open, openat, openat2};
use rustix::io::Errno;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;

use super::OrderError;
use crate::workdirs::Workdirs;

const BUILD: &str = "build";
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::PATH);

/// Where a command works, checked but not yet made.
#[derive(Debug)]
pub(super) struct Place {
    work: PathBuf,
    builder: Name,
    slot: u32,
    /// Plain names only.
    below: Vec<OsString>,
}

impl Place {
    /// Reads it from an order.
    pub(super) fn of(start: &Start, work: &Path) -> Result<Self, OrderError> {
        let builder = Name::parse(&start.builder)?;
        let workdir = PathBuf::from(OsString::from_vec(start.workdir.0.clone()));
        let mut below = Vec::new();
        for component in workdir.components() {
            match component {
                Component::Normal(name) => below.push(name.to_owned()),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(OrderError::Workdir {
                        workdir: start.workdir.lossy().into_owned(),
                    });
                }
            }
        }
        Ok(Self { work: work.to_owned(), builder, slot: start.slot, below })
    }

    fn slot_path(&self) -> PathBuf {
        self.work.join(self.builder.as_str()).join(self.slot.to_string())
    }

    /// Returns where the git step keeps the checkout that its method `copy` works from: beside
    /// `build`, one for every workdir.
    pub(super) fn kept(&self) -> PathBuf {
        let mut name = OsString::from("source");
        for below in &self.below {
            name.push("%");
            name.push(below);
        }
        self.slot_path().join(name)
    }

    /// Makes what is missing and returns the path with all links resolved.
    pub(super) fn make(&self, workdirs: &Workdirs) -> Result<PathBuf, OrderError> {
        let made = workdirs.enter(&self.builder, self.slot, || self.walk());
        made.and_then(|path| Ok(path?)).map_err(|source| {
            let mut path = self.slot_path().join(BUILD);
            path.extend(&self.below);
            OrderError::Directory { path, source }
        })
    }

    fn walk(&self) -> Result<PathBuf, Errno> {
        let mut here = open(&self.work, DIRECTORY, Mode::empty())?;
        for name in [self.builder.as_str(), &self.slot.to_string(), BUILD] {
            make_directory(here.as_fd(), OsStr::new(name))?;
            here = openat(&here, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        }
        let build = here;
        let mut here = build.try_clone().map_err(|_full| Errno::MFILE)?;
        let mut so_far = PathBuf::new();
        for name in &self.below {
            make_directory(here.as_fd(), name)?;
            so_far.push(name);
            here = open_beneath(&build, &here, &so_far, name)?;
        }
        let link = format!("/proc/self/fd/{}", here.as_raw_fd());
        let path = rustix::fs::readlink(link, Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
    }
}

fn make_directory(here: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    match mkdirat(here, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens a directory below `build`. Kernels without `openat2` follow no links at all.
fn open_beneath(
    build: &OwnedFd,
    parent: &OwnedFd,
    path: &Path,
    name: &OsStr,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(build, path, DIRECTORY, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => {
            openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
        }
        opened => opened,
    }
}
