//! The command `changeport`, and every launcher that is a symlink to it.
//!
//! Called by another name it is that app: no argument is looked at, and nothing is loaded that a
//! launch does not need. Called by its own name it has verbs (`command_line`).

mod clock;
mod command_line;
mod connection;
mod environment;
mod exit;
mod follow;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod interrupt;
mod launch_id;
mod launcher;
mod notice;
mod output;
mod poll;
mod reconnect;
mod settings;
mod signals;
mod size;
mod socket;
mod status_file;
mod table;
mod verb;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

const OWN_NAME: &str = "changeport";

/// Runs the command by the name it was called.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_else(|| OsString::from(OWN_NAME));
    let name = Path::new(&called).file_name().unwrap_or(called.as_os_str());
    let code = if name == OWN_NAME {
        command_line::main(arguments)
    } else {
        launcher::main(name, arguments)
    };
    ExitCode::from(code)
}
