//! `cargo xtask tidy`: rules that no compiler checks, one file each.
//!
//! A rule is a function from the tree to findings. To add one: its file and a line in `RULES`.

mod edges;
mod failpoints;
mod lockfile;
mod sources;
mod wire;

use anyhow::bail;

use crate::say;

/// What is wrong, as `place: what; what to do`.
type Findings = Vec<String>;

const RULES: &[fn() -> anyhow::Result<Findings>] =
    &[edges::check, failpoints::check, lockfile::check, sources::check, wire::check];

pub(crate) fn main() -> anyhow::Result<()> {
    let mut findings = Findings::new();
    for rule in RULES {
        findings.extend(rule()?);
    }
    for finding in &findings {
        say(finding);
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!("{} findings", findings.len())
}
