//! Rules about single source files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Findings;
use crate::cargo::root;

/// Longer files hold more than one idea; exceptions stand in `tidy.toml` with their reason.
const MOST_LINES: usize = 600;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "misc", "common", "manager"];

/// SQL stands in these places only.
const SQL_HOME: &str = "crates/master/src/store/";
const UNSAFE_HOMES: &[&str] = &["crates/shim/", "crates/heap/src/"];

pub(super) fn check() -> anyhow::Result<Findings> {
    let exceptions = fs::read_to_string(root().join("tidy.toml")).unwrap_or_default();
    let exceptions = exceptions.split("[no_failpoints]").next().unwrap_or_default();
    let mut files = Vec::new();
    for folder in ["crates", "fuzz/fuzz_targets", "tests"] {
        collect(&root().join(folder), &mut files)?;
    }
    let mut findings = Findings::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let place = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        check_file(&place, &text, exceptions, &mut findings);
    }
    Ok(findings)
}

pub(super) fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn check_file(place: &str, text: &str, exceptions: &str, findings: &mut Findings) {
    let mut find = |what: &str| findings.push(format!("{place}: {what}"));
    if !text.starts_with("//!") {
        find("does not say what it is for; begin with a `//!` line");
    }
    if text.lines().count() > MOST_LINES && !exceptions.contains(&format!("\"{place}\"")) {
        find("holds more than one idea; split it, or give a reason in tidy.toml");
    }
    let stem = Path::new(place).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if EMPTY_NAMES.contains(&stem) {
        find("has a name that says nothing; name it after its one idea");
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(what) = check_line(place, line) {
            findings.push(format!("{place}:{}: {what}", number + 1));
        }
    }
}

fn check_line(place: &str, line: &str) -> Option<&'static str> {
    let trimmed = line.trim_start();
    let is_tidy = place.starts_with("crates/xtask/src/tidy/");
    if is_tidy {
        return None;
    }
    if trimmed.starts_with("//") && ["TODO", "FIXME", "XXX"].iter().any(|word| line.contains(word))
    {
        return Some("an open end; do it or write an issue");
    }
    let may_be_unsafe = UNSAFE_HOMES.iter().any(|home| place.starts_with(home));
    if line.contains("allow(unsafe_code") && !may_be_unsafe {
        return Some("unsafe code lives in the shim only, but for one call in `heap`");
    }
    let has_sql = ["\"SELECT ", "\"INSERT INTO ", "\"UPDATE ", "\"DELETE FROM "]
        .iter()
        .any(|word| line.contains(word));
    if has_sql && place.starts_with("crates/master/src/") && !place.starts_with(SQL_HOME) {
        return Some("SQL lives in the store");
    }
    None
}
