//! A wall clock of its own for a daemon, by `libfaketime`; other clocks stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// A clock that can be set while the daemon runs.
#[derive(Debug)]
pub(crate) struct Clock {
    library: PathBuf,
    /// Holds by how much the clock is off.
    offset: PathBuf,
}

impl Clock {
    /// Makes a clock that is right; `None` where the library is not installed.
    pub(crate) fn new(offset: PathBuf) -> anyhow::Result<Option<Self>> {
        let Some(library) = library() else { return Ok(None) };
        let clock = Self { library, offset };
        clock.set(0)?;
        Ok(Some(clock))
    }

    /// Lets a daemon live by this clock.
    pub(crate) fn give_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", &self.offset);
        let ways = ["FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "FAKETIME_DISABLE_SHM"];
        command.envs(ways.map(|way| (way, "1")));
    }

    /// Sets it off by so many seconds.
    pub(crate) fn set(&self, seconds: i64) -> anyhow::Result<()> {
        let beside = self.offset.with_extension("next");
        fs::write(&beside, format!("{seconds:+}\n")).context("write a clock's offset")?;
        fs::rename(&beside, &self.offset).context("set a clock")
    }
}

/// Says why clocks cannot be set here.
pub(crate) fn cannot() -> Option<&'static str> {
    library().is_none().then_some("libfaketime is not installed")
}

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let mut found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    found.find(|library| Path::is_file(library))
}
