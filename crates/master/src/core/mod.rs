//! The loop around the engine: decide, commit, act.
//!
//! One task owns the engine. It takes a batch of events from a bounded queue, lets the engine
//! decide about each, commits all writes in one transaction, and only then acts. Questions are
//! answered between batches, so always from committed state.
//!
//! `Core` is the handle everybody else holds.

mod act;
mod answer;
mod followers;
mod handle;
mod ledger;
#[cfg(test)]
pub(crate) mod listening;
mod lock;
mod news;
mod run;
mod shortage;
mod trail;
pub mod waited;

pub(crate) use answer::absence;

pub use act::{ToSession, WorkerSession};
pub use handle::{Core, CoreGone, Question};
pub use run::{CoreError, Parts, run};
pub use trail::{Part, Trail, TrailStage};
