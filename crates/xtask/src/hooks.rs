//! `cargo xtask hooks`

use std::process::Command;

use crate::cargo::{root, run};
use crate::say;

pub(crate) fn main() -> anyhow::Result<()> {
    run(Command::new("git").current_dir(root()).args(["config", "core.hooksPath", ".githooks"]))?;
    say("git now runs .githooks/pre-commit before each commit");
    Ok(())
}
