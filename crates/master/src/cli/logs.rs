//! `master logs BUILD[/STEP]`

use std::io::Write as _;
use std::path::Path;

use anyhow::bail;
use proto::message::hello::Refusal;
use proto::message::launch::Output;
use proto::message::question::{LogEnded, LogWanted};
use proto::{Message as _, record};

use super::{connect, print, print_json};

/// One record as JSON.
#[derive(serde::Serialize)]
struct Line<'a> {
    part: u32,
    channel: &'static str,
    t_us: i64,
    text: std::borrow::Cow<'a, str>,
}

pub(super) fn main(config: &Path, json: bool, build: &str, follow: bool) -> anyhow::Result<()> {
    let (build, step) = build.split_once('/').unwrap_or((build, ""));
    let mut master = connect(config)?;
    let (build, step) = (build.to_owned(), step.to_owned());
    master.send(&LogWanted { build, step, follow, first_line: 0, lines: 0 })?;
    loop {
        let frame = master.frame()?;
        match frame.kind {
            Output::KIND => show(&frame.open()?, json)?,
            LogEnded::KIND => return Ok(()),
            Refusal::KIND => bail!(frame.open::<Refusal>()?),
            _ => frame.skip_unknown()?,
        }
    }
}

fn show(output: &Output, json: bool) -> anyhow::Result<()> {
    for record in record::iter(output.records.as_ref()) {
        let channel = match record.channel {
            record::Channel::Out => "out",
            record::Channel::Err => "err",
            record::Channel::System => "system",
            record::Channel::Gap => "gap",
        };
        if json {
            let text = String::from_utf8_lossy(record.bytes);
            print_json(
                "record",
                &[Line { part: output.position.part, channel, t_us: record.t_us, text }],
            )?;
            continue;
        }
        match record.channel {
            record::Channel::Out | record::Channel::Err => {
                print(|out| out.write_all(record.bytes))?;
            }
            record::Channel::System => {
                print(|out| {
                    writeln!(out, "[{}]", String::from_utf8_lossy(record.bytes).trim_end())
                })?;
            }
            record::Channel::Gap => {
                let count = record.bytes.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b));
                print(|out| writeln!(out, "[{count} bytes were left out here]"))?;
            }
        }
    }
    Ok(())
}
