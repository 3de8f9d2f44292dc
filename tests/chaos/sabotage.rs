//! Spoils what a run left behind, to see the check fail.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use e2e::{Database, Yard};
use proto::record;

use crate::evidence::frames_end;

/// What to spoil.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sabotage {
    /// A request vanishes.
    Lost,
    /// A command leaves a second witness.
    Twice,
    /// An exit code becomes another.
    Wrong,
    /// A record vanishes from a log.
    Gap,
}

const FORGET: &str =
    "DELETE FROM request WHERE id = (SELECT max(id) FROM request WHERE result = 'SUCCESS')";
const MISTAKE: &str = "UPDATE request SET exit_code = exit_code + 1 \
     WHERE id = (SELECT max(id) FROM request WHERE result = 'FAILURE')";

/// Spoils a yard whose master has ended.
pub(crate) fn spoil(yard: &Yard, database: &Database, what: Sabotage) -> anyhow::Result<()> {
    match what {
        Sabotage::Lost => drop(database.ask(FORGET)?),
        Sabotage::Wrong => drop(database.ask(MISTAKE)?),
        Sabotage::Twice => {
            let witness = largest(yard.path("witnesses"))?;
            fs::write(witness.with_extension("twice"), "").context("write a second witness")?;
        }
        Sabotage::Gap => cut(&largest(yard.path("master/logs"))?)?,
    }
    Ok(())
}

fn largest(folder: PathBuf) -> anyhow::Result<PathBuf> {
    let files = fs::read_dir(folder).context("list a folder")?.flatten();
    let largest = files.max_by_key(|file| file.metadata().map_or(0, |metadata| metadata.len()));
    Ok(largest.context("nothing is there to spoil")?.path())
}

/// Takes the first record out of a sealed log.
fn cut(log: &PathBuf) -> anyhow::Result<()> {
    let file = fs::read(log).context("read a log")?;
    let (frames, tail) = file.split_at(frames_end(&file)?);
    let records = zstd::stream::decode_all(frames).context("decompress a log")?;
    let first = record::first(&records).context("read a record")?.size();
    let mut spoiled = zstd::stream::encode_all(&records[first..], 3).context("compress a log")?;
    spoiled.extend_from_slice(tail);
    fs::write(log, spoiled).context("write a log")
}
