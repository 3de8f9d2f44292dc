//! The wire protocol: its document names every message, and its types keep the rules.

use std::fs;

use anyhow::Context as _;

use super::Findings;
use crate::cargo::root;

pub(super) fn check() -> anyhow::Result<Findings> {
    let mut findings = Findings::new();
    let path = root().join("docs/protocol.md");
    let document = fs::read_to_string(&path).unwrap_or_default();
    for (number, name) in proto::kind::ALL {
        if !document.contains(&format!("| {number} | `{name}` |")) {
            findings.push(format!("docs/protocol.md: message {number} `{name}` is not described"));
        }
    }
    let folder = root().join("crates/proto/src/message");
    for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        for (at, line) in text.lines().enumerate() {
            let place = || {
                let place = path.strip_prefix(root()).unwrap_or(&path).display();
                format!("{place}:{}", at + 1)
            };
            if let Some(field) = field(line)
                && !document.contains(&format!("`{field}`"))
            {
                findings.push(format!("docs/protocol.md: field `{field}` of {}", place()));
            }
            let forbidden = ["untagged", "flatten", ": Vec<u8>", "Option<Vec<u8>>"];
            if let Some(word) = forbidden.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{}: `{word}` has no place on the wire", place()));
            }
        }
    }
    Ok(findings)
}

/// Returns the name of the field that a line declares.
fn field(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("    pub ")?.split_once(':')?;
    (!name.starts_with("fn ")).then_some(name)
}
