//! Submits launches that write, and waits until the master has their logs: sealed, and readable by
//! line.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use proto::message::hello::Role;
use proto::message::launch::{Accepted, Output};
use proto::message::question::{LogEnded, LogRange, LogWanted};
use proto::{Bytes, record};
use std::io::Write as _;

use crate::line::Line;
use crate::moment::now_ns;
use crate::submit::launches;

/// Between two looks into the folder of the logs.
const GLANCE: Duration = Duration::from_millis(1);

/// Launches an app `jobs` times with the number of lines as its argument. Returns a line: begin,
/// all logs there, in ns.
pub(crate) fn measure(
    (change, control): (&OsStr, &OsStr),
    folder: &OsStr,
    app: &str,
    (jobs, lines): (usize, usize),
) -> anyhow::Result<String> {
    let launches = launches(app, &[Bytes::from(lines.to_string().as_str())], jobs)?;
    let before = sealed(Path::new(folder))?;
    let begin = now_ns();
    let mut client = Line::open(Path::new(change), Role::Client)?;
    client.socket.write_all(&launches).context("write launches")?;
    let mut builds = Vec::new();
    for _ in 0..jobs {
        let accepted: Accepted = client.receive()?;
        builds.extend(accepted.requests);
    }
    while sealed(Path::new(folder))? != before.map(|count| count + jobs) {
        std::thread::sleep(GLANCE);
    }
    let mut control = Line::open(Path::new(control), Role::Control)?;
    for build in builds {
        ask_for_last(&mut control, &build, lines)?;
    }
    Ok(format!("{begin} {}\n", now_ns()))
}

/// Counts the sealed logs; `None` while one of them still has its living form.
fn sealed(folder: &Path) -> anyhow::Result<Option<usize>> {
    let mut count = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let name = entry.context("list logs")?.file_name();
        match Path::new(&name).extension().and_then(OsStr::to_str) {
            Some("logz") => count += 1,
            Some(_) => return Ok(None),
            None => {}
        }
    }
    Ok(Some(count))
}

fn ask_for_last(control: &mut Line, build: &str, lines: usize) -> anyhow::Result<()> {
    let first_line = u64::try_from(lines).unwrap_or(u64::MAX).saturating_sub(1);
    let range = Some(LogRange { first_line, lines: 1, ..LogRange::default() });
    let step = String::new();
    control.send(&LogWanted { build: build.to_owned(), step, follow: false, range })?;
    let output: Output = control.receive()?;
    control.receive::<LogEnded>()?;
    let text: Vec<u8> =
        record::iter(output.records.as_ref()).flat_map(|record| record.bytes.to_vec()).collect();
    let number = String::from_utf8_lossy(&text).split_whitespace().next().map(str::parse);
    ensure!(number == Some(Ok(first_line)), "the last line of {build} is another one");
    Ok(())
}
