//! `master logs BUILD[/STEP]`

use std::io::{ErrorKind, IsTerminal as _, Write};
use std::num::NonZeroU64;
use std::path::Path;
use std::str::FromStr;

use anyhow::bail;
use proto::message::hello::Refusal;
use proto::message::launch::Output;
use proto::message::question::{LogEnded, LogRange, LogWanted};
use proto::{Message as _, record};

use super::connect::Connection;
use super::terminal::Disarmed;
use super::{connect, print, print_json};

/// One record as JSON.
#[derive(serde::Serialize)]
struct Line<'a> {
    part: u32,
    channel: &'static str,
    t_us: i64,
    text: std::borrow::Cow<'a, str>,
}

/// Lines as people count them, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lines {
    first: u64,
    last: Option<u64>,
}

impl FromStr for Lines {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const LOOK: &str = "lines look like 7, 10-20 or 300-, counted from 1";
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0).ok_or(LOOK);
        let (first, last) = match text.split_once('-') {
            None => (number(text)?, Some(number(text)?)),
            Some((first, "")) => (number(first)?, None),
            Some((first, last)) => (number(first)?, Some(number(last)?)),
        };
        if last.is_some_and(|last| last < first) {
            return Err(LOOK);
        }
        Ok(Self { first, last })
    }
}

/// Returns what to ask the master for.
pub(super) fn range(lines: Option<Lines>, tail: Option<NonZeroU64>) -> Option<LogRange> {
    if let Some(Lines { first, last }) = lines {
        let lines = last.map_or(0, |last| last - first + 1);
        return Some(LogRange { first_line: first - 1, lines, ..LogRange::default() });
    }
    tail.map(|tail| LogRange { last_lines: tail.get(), ..LogRange::default() })
}

pub(super) fn main(
    config: &Path,
    json: bool,
    build: &str,
    follow: bool,
    range: Option<LogRange>,
) -> anyhow::Result<()> {
    let (build, step) = build.split_once('/').unwrap_or((build, ""));
    let mut master = connect(config)?;
    let mut wanted = LogWanted { build: build.to_owned(), step: step.to_owned(), follow, range };
    let mut streams = Streams::new();
    loop {
        master.send(&wanted)?;
        let ended = print_to_end(&mut master, json, &mut streams)?;
        let (Some(range), Some(next)) = (&mut wanted.range, ended.next_byte) else { return Ok(()) };
        // The log may have grown: its last lines are those of the first answer.
        if range.last_lines > 0 {
            (range.first_line, range.lines, range.last_lines) =
                (ended.first_line, range.last_lines, 0);
        }
        range.first_byte = next;
    }
}

fn print_to_end(
    master: &mut Connection,
    json: bool,
    streams: &mut Streams,
) -> anyhow::Result<LogEnded> {
    loop {
        let frame = master.frame()?;
        match frame.kind {
            Output::KIND if json => print_records(&frame.open()?)?,
            Output::KIND => streams.show(&frame.open()?)?,
            LogEnded::KIND => return Ok(frame.open()?),
            Refusal::KIND => bail!(frame.open::<Refusal>()?),
            _ => frame.skip_unknown()?,
        }
    }
}

fn print_records(output: &Output) -> anyhow::Result<()> {
    let line = |record: record::Record<'_>| Line {
        part: output.position.part,
        channel: match record.channel {
            record::Channel::Out => "out",
            record::Channel::Err => "err",
            record::Channel::System => "system",
            record::Channel::Gap => "gap",
        },
        t_us: record.t_us,
        text: String::from_utf8_lossy(record.bytes).into_owned().into(),
    };
    print_json("record", &record::iter(output.records.as_ref()).map(line).collect::<Vec<_>>())
}

/// Where a log goes: what the command wrote to each stream comes out of the same one, byte for
/// byte unless a terminal would obey it. Yardmaster's own words go to stderr.
struct Streams {
    out: Stream,
    err: Stream,
}

impl Streams {
    fn new() -> Self {
        let stream = |is_terminal: bool| Stream { filter: is_terminal.then(Disarmed::new) };
        Self {
            out: stream(std::io::stdout().is_terminal()),
            err: stream(std::io::stderr().is_terminal()),
        }
    }

    fn show(&mut self, output: &Output) -> anyhow::Result<()> {
        for record in record::iter(output.records.as_ref()) {
            match record.channel {
                record::Channel::Out => print(|out| self.out.write(out, record.bytes))?,
                record::Channel::Err => self.complain(record.bytes)?,
                record::Channel::System => {
                    let words = String::from_utf8_lossy(record.bytes);
                    self.complain(format!("[{}]\n", words.trim_end()).as_bytes())?;
                }
                record::Channel::Gap => {
                    let count = record.bytes.first_chunk::<8>();
                    let count = count.map_or(0, |bytes| u64::from_le_bytes(*bytes));
                    self.complain(format!("[{count} bytes were left out here]\n").as_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn complain(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self.err.write(&mut std::io::stderr(), bytes) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// One of the caller's streams.
struct Stream {
    /// Present for a terminal.
    filter: Option<Disarmed>,
}

impl Stream {
    fn write(&mut self, to: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.filter {
            Some(filter) => to.write_all(filter.text(bytes).as_bytes())?,
            None => to.write_all(bytes)?,
        }
        // Both streams may be one terminal: what was written first has to be seen first.
        to.flush()
    }
}
