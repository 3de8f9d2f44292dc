//! `cargo xtask …`: everything a developer runs, without further tools.
//!
//! One file per task: `test` is what CI runs, `tidy` checks the rules no compiler checks, `demo`
//! shows the product, `bench` measures it, `chaos` breaks it, `mutants` tries the simulator,
//! `fuzz` looks for input that hurts.

mod bench;
mod cargo;
mod chaos;
mod child;
mod debian;
mod demo;
mod fuzz;
mod hooks;
mod mutants;
mod release;
mod test;
mod tidy;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Yardmaster's own tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Formatter, tidy, clippy and every test; installs what the tests need where it can.
    Test,
    /// Show a master, a worker, a build and a launcher on this machine, until Ctrl-C.
    Demo {
        /// Show it and stop; exit 0 if all went well.
        #[arg(long)]
        once: bool,
    },
    /// Measure the release binaries of a master and a worker on this machine.
    Bench(bench::Options),
    /// Plant bugs in a copy of the engine and see whether the simulator finds each.
    Mutants,
    /// Break a master, workers and clients on purpose, and check that nothing was lost.
    ///
    /// `cargo xtask chaos -- --help` says what can be broken, and how to repeat a run.
    Chaos {
        /// With binaries as they are shipped.
        #[arg(long)]
        release: bool,
        /// For the harness: `--seed N --cycles N --faults master,worker,… --json`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Search with libFuzzer for input that makes a reader panic, hang or take too much memory.
    Fuzz(fuzz::Options),
    /// Check crate edges and the rules of style that no compiler checks.
    Tidy,
    /// Make git run formatter and tidy before each commit.
    Hooks,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Test => test::main(),
        Task::Demo { once } => demo::main(once),
        Task::Bench(options) => bench::main(&options),
        Task::Mutants => mutants::main(),
        Task::Chaos { release, arguments } => chaos::main(release, &arguments),
        Task::Fuzz(options) => fuzz::main(&options),
        Task::Tidy => tidy::main(),
        Task::Hooks => hooks::main(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to whoever runs the task; a terminal that was closed is no reason to stop.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
