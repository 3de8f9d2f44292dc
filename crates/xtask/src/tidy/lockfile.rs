//! Third-party code comes from the registry, under licences that allow it.

use std::fs;

use anyhow::Context as _;
use serde_json::Value;

use super::Findings;
use crate::cargo::{cargo, root};

/// Licences whose code may be part of ours. A package may offer a choice.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Rivals of what is used already; two of a kind are one too many.
const BANNED: &[&str] = &["async-std", "native-tls", "openssl", "openssl-sys", "ring", "rusqlite"];

pub(super) fn check() -> anyhow::Result<Findings> {
    let mut findings = Findings::new();
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("read Cargo.lock")?;
    for line in lock.lines().filter(|line| line.starts_with("source = ")) {
        if !line.contains("registry+https://github.com/rust-lang/crates.io-index") {
            findings.push(format!("Cargo.lock: {line}: not from crates.io"));
        }
    }
    let deny = fs::read_to_string(root().join("deny.toml")).context("read deny.toml")?;
    if banned(&deny) != BANNED {
        findings.push("deny.toml: bans other crates than tidy/lockfile.rs".to_owned());
    }
    let command = cargo().args(["metadata", "--locked", "--format-version", "1"]).output();
    let output = command.context("run cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        if !may_use(licence) {
            findings.push(format!("crate {name}: licence `{licence}` is not in tidy/lockfile.rs"));
        }
        if BANNED.contains(&name) {
            findings
                .push(format!("crate {name}: is banned; see deny.toml for what is used instead"));
        }
    }
    Ok(findings)
}

/// Returns the crates that a deny.toml bans.
fn banned(deny: &str) -> Vec<&str> {
    let name = |line: &'_ str| -> Option<(usize, usize)> {
        let begin = line.find("{ crate = \"")? + "{ crate = \"".len();
        Some((begin, begin + line[begin..].find('"')?))
    };
    deny.lines().filter_map(|line| name(line).map(|(begin, end)| &line[begin..end])).collect()
}

/// Says whether an SPDX expression of `OR`, `AND`, `/` and brackets leaves us a choice.
fn may_use(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|one| LICENCES.contains(&one.trim())))
}

#[cfg(test)]
mod tests {
    use super::may_use;

    #[test]
    fn one_acceptable_choice_is_enough() {
        assert!(may_use("MIT OR Apache-2.0"));
        assert!(may_use("MIT/Unlicense"));
        assert!(may_use("(MIT OR GPL-3.0-only) AND Unicode-3.0"));
        assert!(!may_use("GPL-3.0-only"));
        assert!(!may_use("MIT AND GPL-3.0-only"));
        assert!(!may_use(""));
    }
}
