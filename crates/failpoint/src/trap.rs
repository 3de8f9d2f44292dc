//! Traps: files in a folder, so that they are laid while processes run, and hold across restarts.
//!
//! The file `PLACE`, such as `master.batch.commit.before`, holds an action and a number:
//! `kill 3` ends whichever process comes to the place as the third. It springs once: the one that
//! renames the file is caught, leaves `PLACE.sprung` with its number and its working directory,
//! and goes no further. Processes that come before it each add a byte to `PLACE.hits`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::process::{Signal, getpid, kill_process};

use crate::{Act, FOLDER, Side};

/// Looks for a trap at a place, and is caught where it is due.
pub(super) fn look(act: Act, side: Side) {
    static TRAPS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(folder) = TRAPS.get_or_init(|| std::env::var_os(FOLDER).map(PathBuf::from)) else {
        return;
    };
    let place = format!("{}.{}", act.name(), side.name());
    let Ok(text) = fs::read_to_string(folder.join(&place)) else { return };
    let Some((signal, due)) = parse(&text) else { return };
    // A folder that cannot be written to catches nobody, and the test says that nobody was.
    if let Ok(true) = claim(folder, &place, due) {
        // Nothing is left to do with an error.
        kill_process(getpid(), signal).ok();
    }
}

fn parse(text: &str) -> Option<(Signal, u64)> {
    let (action, due) = text.trim_end().split_once(' ')?;
    let signal = match action {
        "kill" => Signal::KILL,
        "stop" => Signal::STOP,
        _ => return None,
    };
    Some((signal, due.parse().ok()?))
}

/// Counts this visit, and says whether the trap is this process's.
fn claim(folder: &Path, place: &str, due: u64) -> io::Result<bool> {
    let file = |end: &str| folder.join(format!("{place}.{end}"));
    let mut hits = OpenOptions::new().append(true).create(true).open(file("hits"))?;
    hits.write_all(b".")?;
    if hits.metadata()?.len() < due {
        return Ok(false);
    }
    if fs::rename(folder.join(place), file("claimed")).is_err() {
        // Another one was quicker.
        return Ok(false);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let caught = format!("{}\n{}\n", getpid().as_raw_nonzero(), here.display());
    fs::write(file("claimed"), caught)?;
    fs::rename(file("claimed"), file("sprung"))?;
    Ok(true)
}
