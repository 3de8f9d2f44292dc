//! The owner of all commands.
//!
//! One loop (`core`) takes events from the connection, from the commands and from people, asks
//! the pure half in crate `attempt` what follows, and does it. `recover` reads the spool at
//! start, `drain` takes leave, `supervise` watches one command, `spawners` starts supervisors,
//! `launches` keeps their way clear, `tails` says how far every log is.
//!
//! **Invariants**
//! - Only the loop changes what the worker believes about a command.
//! - The loop never waits for the connection or for a command; whoever does not keep up is cut
//!   off and finds everything again.
//! - A master's epoch is on disk before anything it asks for is done.

mod core;
mod drain;
mod event;
mod launches;
mod recover;
mod spawners;
mod supervise;
mod tails;

pub(crate) use core::{Daemon, Parts};
pub(crate) use drain::{AtDeadline, DrainOrder, Leave};
pub(crate) use event::{Event, Hail};
pub(crate) use recover::{Recovered, recover, spool_id};
pub(crate) use spawners::Spawners;
pub(crate) use tails::{Tail, Tails};
