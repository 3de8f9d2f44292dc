//! `master status`

use std::io::Write as _;
use std::path::Path;

use proto::message::question::{Status, StatusWanted};

use super::table::{duration, plain};
use super::{connect, print, print_json, table};

pub(super) fn main(config: &Path, json: bool) -> anyhow::Result<()> {
    let mut master = connect(config)?;
    master.send(&StatusWanted {})?;
    let status: Status = master.receive()?;
    if json {
        return print_json("status", &[status]);
    }
    let up = duration(crate::clock::wall_us() - status.started_us);
    let workers: Vec<Vec<String>> = status
        .workers
        .iter()
        .map(|worker| {
            let state = match (worker.is_attached, worker.is_draining) {
                (false, _) => "not connected",
                (true, true) => "draining",
                (true, false) => "connected",
            };
            // How many it takes is known while it is here.
            let most =
                if worker.is_attached { worker.max_builds.to_string() } else { "–".into() };
            let busy = format!("{}/{most}", worker.busy);
            vec![worker.name.clone(), state.to_owned(), busy, plain(&worker.detail)]
        })
        .collect();
    let sources: Vec<Vec<String>> = status
        .sources
        .iter()
        .map(|source| {
            let state = if source.is_well { "well" } else { "in trouble" };
            vec![source.name.clone(), source.kind.clone(), state.to_owned(), plain(&source.detail)]
        })
        .collect();
    print(|out| {
        writeln!(
            out,
            "master {} {} · up {up} · epoch {} · revision {} · {} running, {} waiting",
            status.master,
            status.version,
            status.epoch,
            status.revision,
            status.running,
            status.waiting
        )?;
        if status.disowned > 0 {
            let count = status.disowned;
            writeln!(
                out,
                "{count} commands of workers were not known to the database and were killed or \
                 discarded; the log says which"
            )?;
        }
        table::write(out, &["WORKER", "STATE", "BUSY", "BUILDS"], &workers)?;
        table::write(out, &["SOURCE", "KIND", "STATE", "LAST ROUND"], &sources)
    })
}
