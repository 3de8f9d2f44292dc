//! `master db restore FILE`

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use engine::Unfinished;

use super::{alone_with, date, new_start};
use crate::cli::{print, print_json};
use crate::log::Shelf;
use crate::settings::MasterSection;
use crate::store::StateUrl;
use crate::store::restore::{self, Adopted, Restored};

#[derive(serde::Serialize)]
struct Line<'a> {
    taken_us: i64,
    kept: Option<&'a Path>,
    #[serde(flatten)]
    adopted: &'a Adopted,
    unknown_logs: usize,
}

pub(super) async fn main(
    master: &MasterSection,
    json: bool,
    file: &Path,
    unfinished: Unfinished,
) -> anyhow::Result<()> {
    let StateUrl::Sqlite(database) = &master.state else {
        bail!(
            "the state is in PostgreSQL: restore it with pg_restore or by its own means while \
             the master is stopped, then run `master db adopt`"
        )
    };
    let (_lock, shelf) = alone_with(master)?;
    let logs: Vec<_> = shelf.commands()?.into_iter().collect();
    let restored = restore::restore(file, database, new_start()?, unfinished, &logs).await?;
    let Restored { adopted, taken_us, kept } = &restored;
    let aside = set_aside(&shelf, adopted)?;
    if json {
        let unknown_logs = adopted.unknown.len();
        let line = Line { taken_us: *taken_us, kept: kept.as_deref(), adopted, unknown_logs };
        return print_json("restored", &[line]);
    }
    print(|out| {
        writeln!(out, "{} is the backup of {} now", database.display(), date(*taken_us))?;
        if let Some(kept) = kept {
            writeln!(out, "the database before is in {}", kept.display())?;
        }
        tell(out, adopted, aside.as_deref())
    })
}

/// Moves the logs that the database does not know out of the way.
pub(super) fn set_aside(shelf: &Shelf, adopted: &Adopted) -> anyhow::Result<Option<PathBuf>> {
    let mut aside = None;
    for command in &adopted.unknown {
        let folder = shelf.set_aside(*command);
        aside = Some(folder.context("the database is restored; move logs that it does not know")?);
    }
    Ok(aside)
}

/// Says what the next start begins with.
pub(super) fn tell(
    out: &mut impl Write,
    adopted: &Adopted,
    aside: Option<&Path>,
) -> io::Result<()> {
    let Adopted { incarnation, ended, doubtful, unknown } = adopted;
    writeln!(out, "incarnation {incarnation}; no id or number of before is given out again")?;
    writeln!(out, "{ended} requests ended as lost: they may have run since the backup")?;
    writeln!(out, "{doubtful} commands go on if their workers still run them, else they are lost")?;
    if let Some(aside) = aside {
        let count = unknown.len();
        writeln!(
            out,
            "logs of {count} commands that the database does not know are in {}",
            aside.display()
        )?;
    }
    writeln!(out, "start the master now")
}
