//! `master builds`

use std::path::Path;

use proto::message::question::{BuildLine, Builds, BuildsWanted};

use super::table::{duration, plain};
use super::{connect, print, print_json, table};

pub(super) fn main(
    config: &Path,
    json: bool,
    builder: Option<String>,
    limit: u32,
) -> anyhow::Result<()> {
    let mut master = connect(config)?;
    master.send(&BuildsWanted { builder: builder.unwrap_or_default(), limit })?;
    let Builds { builds } = master.receive()?;
    if json {
        return print_json("build", &builds);
    }
    let rows: Vec<Vec<String>> = builds.iter().map(row).collect();
    print(|out| table::write(out, &["BUILD", "RESULT", "WORKER", "TOOK", "STEPS"], &rows))
}

fn row(build: &BuildLine) -> Vec<String> {
    let took = build.ended_us.map_or("running".to_owned(), |end| duration(end - build.started_us));
    let steps = build.steps.iter().map(|step| match step.result.as_str() {
        "" => format!("{} …", step.name),
        "SUCCESS" => format!("{} ✓", step.name),
        "SKIPPED" => format!("{} –", step.name),
        "WARNINGS" => format!("{} !", step.name),
        _ => format!("{} ✗ {}", step.name, plain(&step.detail)),
    });
    vec![
        build.build.clone(),
        build.result.clone(),
        build.worker.clone(),
        took,
        steps.collect::<Vec<_>>().join(" · "),
    ]
}
