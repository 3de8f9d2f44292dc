//! Programs of the system that a run needs, such as `ip` and `mount`.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Runs a program to its end; what it says against it is the error.
pub(crate) fn run<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    let output = command.args(arguments).output().with_context(|| format!("run {program}"))?;
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(output.status.success(), "{command:?}: {words}");
    Ok(())
}

/// Returns the first of some programs that is not installed.
pub(crate) fn missing(programs: &[&'static str]) -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    programs.iter().copied().find(|program| !is_there(program))
}
