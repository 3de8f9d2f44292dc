//! `master db backup FILE`

use std::io::Write as _;
use std::path::Path;

use anyhow::bail;

use crate::cli::{print, print_json};
use crate::settings::MasterSection;
use crate::store::{StateUrl, backup, verify};

#[derive(serde::Serialize)]
struct Made<'a> {
    file: &'a Path,
    size_bytes: u64,
    rows: u64,
}

pub(super) async fn main(master: &MasterSection, json: bool, file: &Path) -> anyhow::Result<()> {
    let database = match &master.state {
        StateUrl::Sqlite(path) => path,
        url @ StateUrl::Postgres(_) => bail!(
            "the state is in PostgreSQL, whose own program makes its backups:\n  \
             pg_dump --format=custom --file={} '{url}'\n\
             To restore: stop the master, then\n  \
             pg_restore --clean --if-exists --single-transaction --dbname='{url}' {0}\n  \
             master db adopt",
            file.display()
        ),
    };
    let draft = backup::draft(database, file, crate::clock::wall_us()).await?;
    // A backup that was never read is none.
    let inspection = verify::file(&draft.path(), &mut |_| {}).await?;
    draft.publish()?;
    if !inspection.findings.is_empty() {
        let findings = inspection.findings.join("; ");
        bail!("the database is damaged, and so is its copy {}: {findings}", file.display());
    }
    let size_bytes = std::fs::metadata(file)?.len();
    let rows = inspection.rows;
    if json {
        return print_json("backup", &[Made { file, size_bytes, rows }]);
    }
    print(|out| {
        writeln!(out, "{}: {size_bytes} bytes, {rows} rows, read back and sound", file.display())?;
        writeln!(
            out,
            "logs are not in it: copy {} after it, at any time",
            master.data.join("logs").display()
        )
    })
}
