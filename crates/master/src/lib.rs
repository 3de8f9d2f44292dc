//! The master: shells around the engine.
//!
//! `core` is the loop that decides, commits and acts; `store` is its memory on disk; `log` keeps
//! what commands wrote; `worker_port` and `client` are the listeners, `gate` what all who connect
//! have to pass; `change_source` are the
//! polling sources, `secret_source` where secrets come from; `settings` reads the configuration, `reload` takes another one, `doors` are
//! opened and closed by it; `daemon` starts and stops it all in
//! order; `cli` is the command line.

pub mod change_source;
pub mod cli;
pub mod client;
pub mod clock;
pub mod core;
pub mod daemon;
pub mod doors;
mod duration;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod gate;
pub mod log;
pub mod reload;
pub mod secret_source;
pub mod settings;
pub mod status;
pub mod store;
pub mod tasks;
mod utc;
pub mod wire;
pub mod worker_port;
