//! The rows of the durable state: plain data, one file per kind.
//!
//! The store maps each to a table. A field added here without a column is found by the store's
//! round-trip test and by the simulator.

mod build;
mod change;
mod command;
mod counter;
mod key;
mod pending;
mod request;
mod revision;
mod source;

pub use build::{Build, StepProgress, StepState};
pub use change::{Change, Launch, User};
pub use command::Command;
pub use counter::Counter;
pub use key::SubmissionKey;
pub use pending::Pending;
pub use request::{OnDisconnect, Request, RequestState};
pub use revision::{Revision, RevisionFile};
pub use source::SourceHeads;

/// One row to write: insert, or replace the row with the same key. A submission's key and a
/// revision are only ever inserted.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    Counter(Counter),
    Change(Change),
    SourceHeads(SourceHeads),
    Pending(Pending),
    SubmissionKey(SubmissionKey),
    Request(Request),
    Build(Build),
    Command(Command),
    Revision(Revision),
}

/// Every living row: what `Engine::restore` starts from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    pub counters: Vec<Counter>,
    pub changes: Vec<Change>,
    pub heads: Vec<SourceHeads>,
    pub pending: Vec<Pending>,
    pub requests: Vec<Request>,
    pub builds: Vec<Build>,
    pub commands: Vec<Command>,
}
