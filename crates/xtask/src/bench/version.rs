//! Which state of the product was measured.

use std::process::Command;

use crate::cargo::root;

/// Returns `0.1.0+abc1234`, with `.changed` where the checkout holds more than that commit.
pub(super) fn read() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return version.to_owned() };
    let changes = git(&["status", "--porcelain", "--untracked-files=no"]).unwrap_or_default();
    let changed = if changes.is_empty() { "" } else { ".changed" };
    format!("{version}+{commit}{changed}")
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(root()).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}
