//! The command that workers run: leaves a witness, writes its output, waits, exits.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::job::Job;

/// How often it writes while it waits.
const BEAT_MS: u64 = 25;
/// Longer than any run; the supervisor ends it.
const FOREVER: &str = "1000";

/// Runs a job; `witnesses` is the folder in which each run of a command leaves one file.
pub(crate) fn main(witnesses: &Path, job: &Job) -> anyhow::Result<ExitCode> {
    let mut witness = testify(witnesses, job)?;
    if job.has_tree {
        leave_processes().context("start processes to leave behind")?;
    }
    write_all(job).context("write the output")?;
    witness.write_all(format!("end {}\n", job.exit).as_bytes()).context("end the witness")?;
    Ok(ExitCode::from(job.exit))
}

/// Makes the witness. A second run of the same command finds it and says so beside it.
fn testify(witnesses: &Path, job: &Job) -> anyhow::Result<File> {
    let command = std::env::var("YARDMASTER_COMMAND").context("read the id of this command")?;
    let path = witnesses.join(&command);
    let mut options = OpenOptions::new();
    options.append(true);
    let mut file = match options.clone().create_new(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            File::create(witnesses.join(format!("{command}.twice"))).context("say `twice`")?;
            options.open(&path)
        }
        opened => opened,
    }
    .context("leave a witness")?;
    file.write_all(format!("{job}\n").as_bytes()).context("leave a witness")?;
    Ok(file)
}

/// One in the session of the command and one out of it, both with the output open.
fn leave_processes() -> io::Result<()> {
    for words in [&["sleep", FOREVER][..], &["setsid", "sleep", FOREVER]] {
        Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).spawn()?;
    }
    Ok(())
}

fn write_all(job: &Job) -> io::Result<()> {
    let (out, err) = (job.out(), job.err());
    let beats = usize::try_from(job.wait_ms / BEAT_MS).unwrap_or(0) + 1;
    for beat in 0..beats {
        io::stdout().write_all(part(&out, beat, beats))?;
        io::stdout().flush()?;
        io::stderr().write_all(part(&err, beat, beats))?;
        if beat + 1 < beats {
            std::thread::sleep(Duration::from_millis(BEAT_MS));
        }
    }
    Ok(())
}

/// Returns one of so many parts of nearly the same size.
fn part(bytes: &[u8], index: usize, count: usize) -> &[u8] {
    &bytes[bytes.len() * index / count..bytes.len() * (index + 1) / count]
}
