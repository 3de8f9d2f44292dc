//! The daemon `worker`: takes commands from a master, runs each under a shim, and brings results
//! and output home.
//!
//! `daemon` owns the commands and is the only one that decides; `link` is the connection to a
//! master; `exec` turns an order into something a shim can run; `workdirs` keeps what it works in;
//! `control` is the line to people
//! on this machine; `git_step` is a program of its own that a git step runs under a shim.
//!
//! **Invariants**
//! - Spawners are started before the process has threads.
//! - A command's truth is its spool directory. Whatever is in memory can be lost at any time.
//! - Nothing a master sends ends this process.

mod cli;
mod control;
mod daemon;
mod exec;
mod git_step;
mod link;
mod probes;
mod settings;
mod tasks;
mod workdirs;

pub use cli::main;

/// The targets of this crate for a fuzzer.
#[cfg(fuzzing)]
pub mod fuzz {
    /// Reads any text as a `worker.toml`.
    pub fn worker_toml(input: &[u8]) {
        crate::settings::fuzz::worker_toml(input);
    }
}
