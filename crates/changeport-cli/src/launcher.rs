//! Called by an app's name: everything after it belongs to the app, byte for byte.

use std::ffi::{OsStr, OsString};

use crate::verb::run;

/// Launches the app of that name and returns what to exit with. A name that is not UTF-8 is no
/// app's, and is refused like any other unknown name.
pub(crate) fn main(name: &OsStr, arguments: impl Iterator<Item = OsString>) -> u8 {
    run::launch(&name.to_string_lossy(), arguments)
}
