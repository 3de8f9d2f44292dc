//! Another configuration for a running master: read, check, plan, swap, or nothing.
//!
//! One task owns the configuration in force and the doors that depend on it, so reloads come one
//! after the other. Everything that can fail is done before the engine is asked; the revision and
//! what the engine decides by it are one commit; what follows cannot fail.
//!
//! **Invariant**: until that commit nothing has changed, after it a start would find the same.

mod candidate;
mod fate;
mod history;
mod order;
mod plan;
mod reloader;
mod retained;

pub use history::{Beginning, begin};
pub use order::{NotReloaded, Queued, Reloads};
pub use reloader::{Reloader, ReloaderParts};
