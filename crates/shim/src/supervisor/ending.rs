//! The end: `exit` is written, the workers are told, the disk has it.
//!
//! After output the disk comes first. The end of a command that said nothing is told at once: with
//! it the master has everything, and commonly the directory is gone before a sync would pay. Should
//! the power fail in between, the command counts as one that ran when it failed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use failpoint::Act;
use rustix::fs::fstat;

use super::log::{FULL_PAUSE, is_full};
use super::peers::Peers;
use crate::exit::Exit;
use crate::spool::{EXIT, create_over};
use crate::sys::boot_us;

/// How long the end of a silent command waits for the master's word before it is synced.
const PATIENCE_US: i64 = 100_000;

/// Brings the end to the disk and to the workers. Returns when `exit` is synced, or forgotten.
pub(super) fn conclude(exit: &Exit, peers: &mut Peers) -> io::Result<()> {
    let bytes = exit.to_file().map_err(io::Error::other)?;
    let written = when_there_is_room(|| write(&bytes))?;
    if exit.log_bytes > 0 {
        sync(&written, &bytes)?;
        peers.tell_exited(exit);
        return Ok(());
    }
    peers.tell_exited(exit);
    // The worker leaves when it has removed the directory, or when it ends itself.
    peers.wait_until_gone(boot_us() + PATIENCE_US)?;
    sync(&written, &bytes)
}

/// Writes beside and renames. A torn file is known by its checksum, so nothing is synced yet.
fn write(bytes: &[u8]) -> io::Result<File> {
    let (path, beside) = (Path::new(EXIT), Path::new("exit.tmp"));
    let mut file = create_over(beside)?;
    file.write_all(bytes)?;
    failpoint::around(Act::ExitRename, || fs::rename(beside, path))?;
    Ok(file)
}

/// Syncs the file and its entry, unless they are gone. What a full disk refused is written again.
/// Not by name: the directory may be another command's by then.
fn sync(file: &File, bytes: &[u8]) -> io::Result<()> {
    loop {
        if fstat(file)?.st_nlink == 0 {
            return Ok(());
        }
        let synced = failpoint::around(Act::ExitSync, || file.sync_data());
        let folder = || File::open(".")?.sync_all();
        match synced.and_then(|()| failpoint::around(Act::ExitFolder, folder)) {
            Err(error) if is_full(&error) => when_there_is_room(|| file.write_all_at(bytes, 0))?,
            synced => return synced,
        }
    }
}

fn when_there_is_room<T>(work: impl Fn() -> io::Result<T>) -> io::Result<T> {
    loop {
        match work() {
            Err(error) if is_full(&error) => std::thread::sleep(FULL_PAUSE),
            done => return done,
        }
    }
}
