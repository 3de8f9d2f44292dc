//! Named places on the way of a command at which a test can end a process.
//!
//! Each act that another process or a disk may see has a place before and one after it. In a
//! build without the feature `armed` none of this exists: the calls are empty and their names are
//! in no program. In one with it, a process looks at each place for a trap (`trap`) and dies or
//! stops in it.
//!
//! To add an act: its line in `act`, and `around`, or `before` and `after`, where it is done.

mod act;
#[cfg(feature = "armed")]
mod trap;

pub use act::{Act, Process};

/// The environment variable that names the folder of traps.
pub const FOLDER: &str = "YARDMASTER_FAILPOINTS";

/// A side of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

impl Side {
    /// Returns the last part of a place's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// The act is about to be done.
#[inline]
pub fn before(act: Act) {
    place(act, Side::Before);
}

/// The act was done, well or not.
#[inline]
pub fn after(act: Act) {
    place(act, Side::After);
}

/// Does the act between its two places.
#[inline]
pub fn around<T>(act: Act, work: impl FnOnce() -> T) -> T {
    before(act);
    let done = work();
    after(act);
    done
}

#[cfg(feature = "armed")]
fn place(act: Act, side: Side) {
    trap::look(act, side);
}

#[cfg(not(feature = "armed"))]
#[inline]
fn place(_act: Act, _side: Side) {}
