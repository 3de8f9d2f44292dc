//! `cargo xtask bench`: measures the release binaries of a real master with one real worker.
//!
//! The master keeps its state in SQLite on disk with every default; the worker is connected over
//! TCP on this machine, and every job has its shim. All state is in a temporary directory and
//! goes with it. `docs/performance.md` says what each workload is and how it compares.
//!
//! One file per workload. To add one: its file and a line in `WORKLOADS`.

mod command_line;
mod daemon_cost;
mod figure;
mod group;
mod probe;
mod process;
mod table;
mod version;
mod w0_machine;
mod w1_send;
mod w2_launch;
mod w3_many;
mod w3c_cost;
mod w3e_clients;
mod w4_logs;
mod w4f_followers;
mod w5_start;
mod w5w_crowd;
mod w6_queue;
mod yard;

use anyhow::bail;

pub(crate) use command_line::Options;

use crate::release;
use crate::say;
use figure::Figure;
use yard::Bench;

/// Something that is measured.
struct Workload {
    /// As in `docs/performance.md`.
    name: &'static str,
    measure: fn(&Bench) -> anyhow::Result<Vec<Figure>>,
}

const WORKLOADS: &[Workload] = &[
    Workload { name: "W0", measure: w0_machine::measure },
    Workload { name: "W1", measure: w1_send::measure },
    Workload { name: "W2", measure: w2_launch::measure },
    Workload { name: "W3", measure: w3_many::measure },
    Workload { name: "W3e", measure: w3e_clients::measure },
    Workload { name: "W3c", measure: w3c_cost::measure },
    Workload { name: "W4", measure: w4_logs::measure },
    Workload { name: "W4f", measure: w4f_followers::measure },
    Workload { name: "W5", measure: w5_start::measure },
    Workload { name: "W5w", measure: w5w_crowd::measure },
    Workload { name: "W6", measure: w6_queue::measure },
];

/// Measures what is asked for, or everything.
pub(crate) fn main(options: &Options) -> anyhow::Result<()> {
    let known = |name: &&String| WORKLOADS.iter().any(|workload| workload.name == **name);
    if let Some(unknown) = options.workloads.iter().find(|name| !known(name)) {
        let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        bail!("there is no workload {unknown}; there are {}", names.join(" "));
    }
    let bench = Bench::new(release::build()?, release::build_probe()?, options.quick);
    let version = version::read();
    let mut all = Vec::new();
    let is_wanted = |name: &str| {
        options.workloads.is_empty() || options.workloads.iter().any(|wanted| wanted == name)
    };
    for workload in WORKLOADS.iter().filter(|workload| is_wanted(workload.name)) {
        let figures = (workload.measure)(&bench)?;
        if options.json {
            figures.iter().for_each(|figure| say(&figure.json(workload.name, &version)));
        }
        all.extend(figures.into_iter().map(|figure| (workload.name, figure)));
    }
    if !options.json {
        say(&table::of(&all, &version));
    }
    Ok(())
}
