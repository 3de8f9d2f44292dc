//! Which crate may know which: the shape of the system, kept.

use anyhow::Context as _;
use serde_json::Value;

use super::Findings;
use crate::cargo::cargo;

/// Every crate with the crates of ours it may depend on.
const EDGES: &[(&str, &[&str])] = &[
    ("secret", &[]),
    ("proto", &["secret"]),
    ("config", &[]),
    ("attempt", &[]),
    ("failpoint", &[]),
    ("heap", &[]),
    ("owner", &[]),
    ("threads", &[]),
    ("shim", &["failpoint", "owner", "secret"]),
    ("engine", &["attempt", "config"]),
    ("worker", &["attempt", "config", "failpoint", "heap", "proto", "secret", "shim", "threads"]),
    (
        "master",
        &[
            "attempt",
            "config",
            "engine",
            "failpoint",
            "heap",
            "owner",
            "proto",
            "secret",
            "threads",
        ],
    ),
    ("changeport-cli", &["failpoint", "proto"]),
    ("probe", &["proto"]),
    ("xtask", &["proto"]),
    ("private-postgres", &[]),
    ("corpus", &[]),
    ("e2e", &["failpoint", "private-postgres", "proto"]),
];

pub(super) fn check() -> anyhow::Result<Findings> {
    let command = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output();
    let output = command.context("run cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let mut findings = Findings::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        check_package(package, &mut findings);
    }
    Ok(findings)
}

fn check_package(package: &Value, findings: &mut Findings) {
    let name = package["name"].as_str().unwrap_or_default();
    let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
        findings.push(format!("crate {name}: not in the list of crates; add it to tidy/edges.rs"));
        return;
    };
    if package["publish"] != Value::Array(Vec::new()) {
        findings.push(format!("crate {name}: can be published; write publish.workspace = true"));
    }
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let other = dependency["name"].as_str().unwrap_or_default();
        let is_ours = EDGES.iter().any(|(known, _)| *known == other);
        if is_ours && !allowed.contains(&other) && dependency["kind"].is_null() {
            findings.push(format!("crate {name}: must not know {other}; see docs/ARCHITECTURE.md"));
        }
    }
}
