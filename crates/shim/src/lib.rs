//! One command, whatever becomes of the daemons: the spool and the supervisor.
//!
//! A worker makes a spool directory for a command (`spool`), hands it to a small process that
//! forks (`spawner`), and the fork becomes the command's supervisor (`supervisor`): it owns the
//! child, its pipes, its timeouts, its end. Everything that happened is in the directory, so a
//! worker that comes back reads it there.
//!
//! **Invariants**
//! - The lock of a directory is held exactly as long as its supervisor lives.
//! - The child executes only after `started` was written; no `started` means it never ran.
//! - `exit`, once there, is the truth for ever but for a power cut within its sync; the output before
//!   it is synced.
//! - A supervisor does not end, and `exit` is not there, while a process of its command lives.
//! - The supervisor has one thread. The kernel ties the death signal of a child to the thread
//!   that forked it.

mod ahead;
mod channel;
mod directory;
mod exit;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod group;
mod id;
mod inspect;
mod left;
mod mask;
mod output;
pub mod record;
mod secrets;
mod segment;
mod spawner;
mod spec;
mod spool;
pub mod supervisor;
mod sweep;
mod sys;

pub use channel::EventChannel;
pub use exit::{Exit, Outcome};
pub use frame::{Event, FrameError, Frames, Request};
pub use group::{Choice, GroupOrder, Home, Limits, Version};
pub use id::CommandId;
pub use inspect::{Found, Started};
pub use left::{Left, LeftFile};
pub use output::OutputReader;
pub use secrets::{Secrets, Value};
pub use spawner::{SpawnError, Spawner, spawner_main};
pub use spec::{OutputCap, Spec, Stdin};
pub use spool::{Created, SpoolError, SpoolRoot};
pub use sweep::Swept;
pub use sys::boot_id;
