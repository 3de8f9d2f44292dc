//! `cargo xtask chaos`: a master, three workers and clients under seeded faults, and a check that
//! nothing was lost, ran twice, ended wrongly or has a hole in its log.

mod baseline;
mod callers;
mod care;
mod clock;
mod command;
mod cycle;
mod dice;
mod evidence;
mod fault;
mod files;
mod fleet;
mod freeze;
mod host;
mod job;
mod lure;
mod machine;
mod memory;
mod power;
mod proxy;
mod run;
mod sabotage;
mod siege;
mod tool;
mod trap;
mod tree;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::fault::Family;
use crate::fleet::State;
use crate::job::Job;
use crate::sabotage::Sabotage;
use crate::trap::Action;

/// Breaks a master, workers and clients on purpose, and checks that nothing was lost.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Arguments {
    /// The run to repeat: workload and faults follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Faults, one a cycle; about a second each.
    #[arg(long, default_value_t = 150)]
    cycles: u64,
    /// What to break.
    #[arg(long, value_delimiter = ',', default_value = "master,worker,shim,net,client,disk,clock")]
    faults: Vec<Family>,
    /// Instead of faults by chance: end processes at each failpoint, by its place in the code.
    #[arg(long)]
    failpoints: bool,
    /// Only failpoints whose names begin so.
    #[arg(long, value_delimiter = ',', requires = "failpoints")]
    places: Vec<String>,
    /// How often each failpoint is a trap, beginning with the first visit.
    #[arg(long, default_value_t = 2, requires = "failpoints")]
    kills: u64,
    /// On which databases; with PostgreSQL only the failpoints of the master.
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres", requires = "failpoints")]
    on: Vec<State>,
    /// What a process does in a failpoint.
    #[arg(long, default_value = "kill", requires = "failpoints")]
    action: Action,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
    /// Leave the folder of the run where it is, whatever came of it.
    #[arg(long)]
    keep: bool,
    /// Spoil what the run left behind before it is checked: the check has to see it.
    #[arg(long, hide = true)]
    sabotage: Option<Sabotage>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// What workers run.
    #[command(hide = true)]
    Command { witnesses: PathBuf, job: Job },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.role {
        Some(Role::Command { witnesses, job }) => command::main(witnesses, job),
        None if arguments.failpoints => siege::main(&arguments),
        None => run::main(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        say(&format!("chaos: {error:#}"));
        ExitCode::FAILURE
    })
}

/// Writes a line to whoever runs this.
#[expect(clippy::print_stdout, reason = "a task speaks to whoever runs it")]
fn say(line: &str) {
    println!("{line}");
}

/// Says what a run came to: as one line for programs, or as a list for people.
fn say_summary(summary: &serde_json::Value, json: bool) {
    if json {
        return say(&summary.to_string());
    }
    for (name, value) in summary.as_object().into_iter().flatten() {
        say(&format!("{name:>20}  {value}"));
    }
}
