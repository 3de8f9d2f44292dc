//! Puts this process into a control group and becomes another program there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

/// Returns only with an error. `group` is the file that takes process ids.
pub(crate) fn execute(
    group: &OsStr,
    program: &OsStr,
    arguments: impl Iterator<Item = OsString>,
) -> anyhow::Result<String> {
    fs::write(group, std::process::id().to_string())
        .with_context(|| format!("enter the control group of {}", group.display()))?;
    let failed = Command::new(program).args(arguments).exec();
    Err(failed).with_context(|| format!("execute {}", program.display()))
}
