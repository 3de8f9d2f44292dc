//! The moment this process runs, on the clock that all processes share.

use std::ffi::OsStr;
use std::fs;

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};

/// Returns `CLOCK_MONOTONIC` in ns.
pub(crate) fn now_ns() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Writes the moment into a file, or to stdout where that is `-`.
pub(crate) fn write(file: &OsStr) -> anyhow::Result<String> {
    let moment = format!("{}\n", now_ns());
    if file == "-" {
        return Ok(moment);
    }
    fs::write(file, moment).with_context(|| format!("write {}", file.display()))?;
    Ok(String::new())
}
