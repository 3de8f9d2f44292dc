//! `master db verify [FILE]`

use std::io::Write as _;
use std::path::Path;

use super::{Unsound, date};
use crate::cli::table::plain;
use crate::cli::{print, print_json};
use crate::log::check;
use crate::settings::MasterSection;
use crate::store::LogRow;
use crate::store::verify::{self, Inspection};

/// Compares logs with their rows as they come.
struct Logs<'a> {
    folder: Option<&'a Path>,
    count: u64,
    findings: Vec<String>,
}

impl<'a> Logs<'a> {
    fn of(folder: Option<&'a Path>) -> Self {
        Self { folder, count: 0, findings: Vec::new() }
    }

    fn take(&mut self, row: &LogRow) {
        let Some(folder) = self.folder else { return };
        self.count += 1;
        self.findings.extend(check::compare(folder, row));
    }
}

#[derive(serde::Serialize)]
struct Verified<'a> {
    what: &'a str,
    logs: u64,
    #[serde(flatten)]
    inspection: Inspection,
}

/// Verifies the database and the logs of a master, which may be running.
pub(super) async fn database(master: &MasterSection, json: bool) -> anyhow::Result<()> {
    let folder = master.data.join("logs");
    let mut logs = Logs::of(Some(&folder));
    let inspection = verify::database(&master.state, &mut |row| logs.take(row)).await?;
    report(json, &master.state.to_string(), inspection, logs)
}

/// Verifies a backup, and logs that belong to it.
pub(super) async fn backup(json: bool, file: &Path, logs: Option<&Path>) -> anyhow::Result<()> {
    let mut logs = Logs::of(logs);
    let inspection = verify::file(file, &mut |row| logs.take(row)).await?;
    report(json, &file.display().to_string(), inspection, logs)
}

fn report(
    json: bool,
    what: &str,
    mut inspection: Inspection,
    logs: Logs<'_>,
) -> anyhow::Result<()> {
    inspection.findings.extend(logs.findings);
    let count = inspection.findings.len();
    if json {
        print_json("verified", &[Verified { what, logs: logs.count, inspection }])?;
    } else {
        print(|out| {
            let Inspection { taken_us, schema, incarnation, epoch, batch, rows, findings } =
                &inspection;
            let taken = taken_us.map(|us| format!(" · backup of {}", date(us))).unwrap_or_default();
            writeln!(
                out,
                "{what}{taken} · schema {schema} · incarnation {incarnation} · epoch {epoch} · \
                 batch {batch}"
            )?;
            for finding in findings {
                writeln!(out, "  ✗ {}", plain(finding))?;
            }
            let verdict = if findings.is_empty() { "sound" } else { "not sound" };
            writeln!(out, "{rows} rows, {} sealed logs: {verdict}", logs.count)
        })?;
    }
    if count > 0 { Err(Unsound { count }.into()) } else { Ok(()) }
}
