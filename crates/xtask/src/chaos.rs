//! `cargo xtask chaos`: builds and runs the chaos harness, which is part of the end-to-end tests.

use std::path::Path;
use std::process::Command;

use crate::cargo::{cargo, run};

/// What the normal test run does.
const NORMAL: &[&str] = &["--cycles", "150", "--json"];

/// Runs the harness; what it finds fails the task.
pub(crate) fn main(is_release: bool, arguments: &[String]) -> anyhow::Result<()> {
    run(harness(is_release).args(arguments))
}

/// Runs what belongs to every run of all tests; `skips` gets what could not be tried.
pub(crate) fn normal(skips: &Path) -> anyhow::Result<()> {
    run(harness(false).args(NORMAL).env("YARDMASTER_SKIPS", skips))
}

/// Kills processes at every failpoint.
pub(crate) fn failpoints() -> anyhow::Result<()> {
    run(harness(false).args(["--failpoints", "--json"]))
}

fn harness(is_release: bool) -> Command {
    let mut command = cargo();
    command.args(["run", "--quiet", "--locked", "-p", "e2e", "--bin", "chaos"]);
    if is_release {
        command.arg("--release");
    }
    command.arg("--");
    command
}
