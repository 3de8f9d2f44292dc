//! Logs: byte copies of the workers' record streams, one per command.
//!
//! A living log is a file of records that grows. Its length of valid records is where a worker
//! resumes, so the file is all the state there is; the database knows only sealed logs. Sealing
//! compresses, indexes and syncs it; then the living file goes.
//!
//! Invariant: a byte is visible to readers only after it is in the file, and the sealed form is
//! synced before the database says so.

pub mod check;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hands;
mod keeper;
mod lanes;
mod line_index;
mod live;
mod orders;
mod range;
mod seal;
mod sealed;
mod shelf;

pub use keeper::{Keeper, SEALS_QUEUE};
pub use live::LiveLog;
pub use range::Piece;
pub use shelf::{LogReader, Shelf, ShelfError};
