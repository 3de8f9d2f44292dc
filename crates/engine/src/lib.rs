//! The domain, pure: events in, decisions out.
//!
//! `Engine::handle` takes one event and returns the rows to write and the actions to perform.
//! The shell commits the rows of a batch in one transaction and only then acts. There is no I/O
//! here, no clock, no randomness and no map with a random order: the same events give the same
//! decisions, which is what the simulator builds on.
//!
//! **Invariants**
//! - Durable state is rows (`row`), kept in `table::Table`; nothing durable can change without
//!   being written. `Engine::restore(rows)` equals the live durable state.
//! - An accepted id never vanishes; a terminal state never changes.
//! - A command id is sent to at most one place, and only after its row was committed.
//!
//! Where to add things: a scheduler kind is one file in `scheduler`, a step kind one in `step`.

mod admit;
mod audience;
mod backup;
mod build;
mod cancel;
mod close;
mod collapse;
mod decision;
mod dispatch;
mod durable;
mod ending;
mod engine;
mod event;
mod facts;
mod follow;
mod foresight;
mod give_up;
mod id;
mod intake;
mod line;
pub mod lock;
mod placement;
mod plan;
pub mod priority;
pub mod property;
mod recent;
mod reconfigure;
pub mod reference;
mod request_index;
pub mod resources;
mod restore;
pub mod result;
pub mod row;
mod schedule;
pub mod scheduler;
pub mod settings;
pub mod step;
mod stop;
mod subject;
mod table;
mod time;
pub mod variable;
mod volatile;
mod waits;
mod why;
mod workers;

pub use backup::{GAP, Unfinished, after_backup};
pub use decision::{
    Accepted, Action, Answer, Decision, Directive, Fate, GivenUp, Prioritized, Refusal, StartOrder,
    Stopped,
};
pub use durable::{Durable, Identity};
pub use engine::Engine;
pub use event::{
    Abandoned, Departure, Event, LaunchOffer, LaunchWait, NewChange, Offer, PolledChange,
    Readiness, StopScope, Submission, Ticket,
};
pub use facts::Facts;
pub use foresight::{Foresight, Touched};
pub use id::{BuildId, BuildsetId, ChangeId, RequestId, RequestName};
pub use intake::repeat;
pub use placement::Placement;
pub use plan::Plan;
pub use result::BuildResult;
pub use row::{Rows, Write};
pub use time::Now;
pub use volatile::Absence;
pub use waits::{Hindrance, Waits};
pub use why::{Blocker, Standing, StepWait};
