//! One command's life, seen from both ends: the master's half and the worker's half.
//!
//! Both are plain state machines without I/O, kept side by side so that one test drives them
//! against each other through a network that loses, doubles and reorders, with crashes on both
//! sides (`tests/lossy.rs`).
//!
//! **Invariant**: a command id is executed at most once, anywhere, ever. It rests on three
//! things: the worker's spool remembers every command it may have run; messages carry the
//! connection's stamp and older ones are refused; what the worker forgot after `FinalAck` cannot
//! be started again within that connection (`forgotten`).

mod forgotten;
mod id;
pub mod master;
mod message;
mod outcome;
pub mod worker;

pub use id::CommandId;
pub use message::{Place, Properties, Stamp, StopOrder, ToMaster, ToWorker, View};
pub use outcome::{LostReason, Outcome};
