//! What outlives a process is done between failpoints: syncs, renames, commits, writes to sockets.
//!
//! The rule looks for the calls by their text and for a failpoint near them. Files in which none is
//! needed stand in `tidy.toml` with their reason.

use std::fs;

use anyhow::Context as _;

use super::Findings;
use super::sources::collect;
use crate::cargo::root;

/// Crates of the programs that are killed.
const FOLDERS: &[&str] =
    &["crates/changeport-cli/src", "crates/master/src", "crates/shim/src", "crates/worker/src"];

/// Calls that another process or a disk sees.
const ACTS: &[&str] = &[
    ".sync_all()",
    ".sync_data()",
    "fs::rename(",
    "fs::hard_link(",
    "\"COMMIT\"",
    ".write_all_at(",
    ".write_at(",
];
/// Such a call where both are in a line: only sockets are written to so.
const SOCKET: [&str; 2] = [".write_all(", ".await"];

/// Lines before and after a call in which its failpoint may stand.
const NEAR: (usize, usize) = (4, 2);

pub(super) fn check() -> anyhow::Result<Findings> {
    let settings = fs::read_to_string(root().join("tidy.toml")).unwrap_or_default();
    let exceptions = settings.split_once("[no_failpoints]").map_or("", |(_, section)| section);
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&root().join(folder), &mut files)?;
    }
    let mut findings = Findings::new();
    for file in files {
        let place = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        let is_test = place.contains("/tests/") || place.ends_with("/tests.rs");
        if is_test || exceptions.contains(&format!("\"{place}\"")) {
            continue;
        }
        let text = fs::read_to_string(&file).with_context(|| format!("read {place}"))?;
        findings.extend(bare_acts(&text).into_iter().map(|number| {
            format!(
                "{place}:{number}: seen from outside and no failpoint near; see crates/failpoint, \
                 or give a reason in tidy.toml"
            )
        }));
    }
    Ok(findings)
}

/// Returns the numbers of lines that do something without a failpoint.
fn bare_acts(text: &str) -> Vec<usize> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines: Vec<&str> = code.lines().collect();
    let is_act = |line: &str| {
        let is_comment = line.trim_start().starts_with("//");
        let is_named = ACTS.iter().any(|act| line.contains(act));
        !is_comment && (is_named || SOCKET.iter().all(|part| line.contains(part)))
    };
    let is_bare = |at: &usize| {
        let first = at.saturating_sub(NEAR.0);
        let last = (at + NEAR.1).min(lines.len() - 1);
        !lines[first..=last].iter().any(|line| line.contains("failpoint::"))
    };
    let acts = (0..lines.len()).filter(|at| is_act(lines[*at]));
    acts.filter(is_bare).map(|at| at + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::bare_acts;

    #[test]
    fn an_act_without_a_failpoint_is_found() {
        let text = "fn a() {\n    file.sync_all()?;\n}\n";
        assert_eq!(bare_acts(text), [2]);
        let text = "fn a() {\n    socket.write_all(&frame).await?;\n}\n";
        assert_eq!(bare_acts(text), [2]);
        let text = "fn a() {\n    failpoint::around(Act::Sync, || file.sync_all())?;\n}\n";
        assert!(bare_acts(text).is_empty());
        let text = "// file.sync_all()\n#[cfg(test)]\nmod tests {\n    fs::rename(a, b);\n}\n";
        assert!(bare_acts(text).is_empty());
    }
}
