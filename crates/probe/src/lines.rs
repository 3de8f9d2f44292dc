//! Writes many lines of 100 bytes, as a program does whose standard output is a pipe: in pieces of
//! about 4 KiB.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::moment::now_ns;

const PIECE_BYTES: usize = 4_096;
const FILLER: &str =
    "the quick brown fox jumps over the lazy dog, and then it does so once more: again";
/// Between two looks for the file that says when to go.
const GLANCE: Duration = Duration::from_millis(5);

/// Writes them. Where there are files, it begins with the word `ready`, waits until the first file
/// is there, and writes into the second how long the lines took, in ns.
pub(crate) fn write(count: usize, files: Option<(OsString, OsString)>) -> anyhow::Result<String> {
    // Not as `Stdout`, which looks for line feeds.
    let out = std::io::stdout().as_fd().try_clone_to_owned().context("share standard output")?;
    let mut out = File::from(out);
    let Some((go, time)) = files else {
        write_to(&mut out, count).context("write lines")?;
        return Ok(String::new());
    };
    out.write_all(b"ready\n").context("write a line")?;
    while !Path::new(&go).exists() {
        std::thread::sleep(GLANCE);
    }
    let begin = now_ns();
    write_to(&mut out, count).context("write lines")?;
    let took = now_ns() - begin;
    fs::write(&time, format!("{took}\n")).with_context(|| format!("write {}", time.display()))?;
    Ok(String::new())
}

fn write_to(out: &mut impl Write, count: usize) -> std::io::Result<()> {
    let mut buffer = BufWriter::with_capacity(PIECE_BYTES, out);
    for number in 0..count {
        writeln!(buffer, "{number:>17} {FILLER}")?;
    }
    buffer.flush()
}
