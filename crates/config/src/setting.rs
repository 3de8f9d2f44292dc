//! A configuration as a list of its values, each under its path, for people.

use std::fmt;

use crate::source::Span;
use crate::tree::{Entry, Node, NodeKind};

/// Where a value is: `builder.ci.steps[test].timeout`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<String>);

impl Path {
    /// Returns the keys from the top. An element of a list is `[name]`, or `[n]` from 1.
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    pub(crate) fn with(&self, key: impl Into<String>) -> Self {
        Self(self.0.iter().cloned().chain([key.into()]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            let is_plain =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '[' | ']');
            let dot = if at == 0 || key.starts_with('[') { "" } else { "." };
            if key.chars().all(is_plain) || key.starts_with('[') {
                write!(f, "{dot}{}", key.escape_debug())?;
            } else {
                write!(f, "{dot}\"{}\"", key.escape_debug())?;
            }
        }
        Ok(())
    }
}

/// One value with its path and place.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting<'n> {
    pub path: Path,
    pub value: &'n Node,
}

impl Setting<'_> {
    /// Returns where it stands.
    pub fn span(&self) -> Span {
        self.value.span
    }
}

/// Lists the values of a tree in the order in which they stand; tables and lists of tables are
/// taken apart.
pub fn settings(tree: &Node) -> Vec<Setting<'_>> {
    let mut list = Vec::new();
    walk(tree, &Path::default(), &mut list);
    list
}

fn walk<'n>(node: &'n Node, path: &Path, list: &mut Vec<Setting<'n>>) {
    match &node.kind {
        NodeKind::Table(entries) if !entries.is_empty() || path.0.is_empty() => {
            entries.iter().for_each(|entry| walk(&entry.value, &path.with(&entry.key), list));
        }
        NodeKind::Array(items) if are_tables(items) => {
            for (at, item) in items.iter().enumerate() {
                walk(item, &path.with(settings_element(items, at)), list);
            }
        }
        NodeKind::Bool(_)
        | NodeKind::Integer(_)
        | NodeKind::Float(_)
        | NodeKind::Text(_)
        | NodeKind::Array(_)
        | NodeKind::Table(_)
        | NodeKind::DateTime => list.push(Setting { path: path.clone(), value: node }),
    }
}

/// Shows a path of keys.
pub fn settings_path(keys: &[&str]) -> String {
    Path(keys.iter().map(|key| (*key).to_owned()).collect()).to_string()
}

pub(crate) fn are_tables(items: &[Node]) -> bool {
    !items.is_empty() && items.iter().all(|item| matches!(item.kind, NodeKind::Table(_)))
}

/// Returns what an element of a list of tables is called: by its name where that is its own.
pub fn settings_element(items: &[Node], at: usize) -> String {
    let name = items.get(at).and_then(name_of);
    let is_own = |name: &&str| items.iter().filter(|item| name_of(item) == Some(name)).count() == 1;
    name.filter(is_own).map_or_else(|| format!("[{}]", at + 1), |name| format!("[{name}]"))
}

pub(crate) fn name_of(item: &Node) -> Option<&str> {
    item.text_of("name")
}

/// Shows a value on one line. Passwords in addresses are left out.
pub fn show(node: &Node) -> String {
    match &node.kind {
        NodeKind::Bool(fact) => fact.to_string(),
        NodeKind::Integer(number) => number.to_string(),
        NodeKind::Float(number) => format!("{number:?}"),
        NodeKind::Text(text) => format!("\"{}\"", masked(text).escape_debug()),
        NodeKind::DateTime => "a date".to_owned(),
        NodeKind::Array(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        NodeKind::Table(entries) => {
            let show = |entry: &Entry| {
                format!("{} = {}", Path(vec![entry.key.clone()]), show(&entry.value))
            };
            let entries: Vec<String> = entries.iter().map(show).collect();
            if entries.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }
}

/// Leaves out passwords of addresses: `https://user:secret@host`, `postgres://h/d?password=secret`.
fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#', ' ']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => format!("{user}@{host}"),
        },
        None => authority.to_owned(),
    };
    let mut shown = format!("{scheme}://{authority}");
    for part in tail.split_inclusive(['?', '&', '#']) {
        match part.split_once('=') {
            Some((key, value)) if key.to_ascii_lowercase().contains("password") => {
                let end = value.chars().last().filter(|last| "?&#".contains(*last));
                shown.push_str(&format!("{key}=***{}", end.map(String::from).unwrap_or_default()));
            }
            Some(_) | None => shown.push_str(part),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_are_not_shown() {
        for (text, expected) in [
            ("https://ann:secret@x.org/y.git", "https://ann:***@x.org/y.git"),
            ("https://ann@x.org/y.git", "https://ann@x.org/y.git"),
            ("https://ann:se@cret@x.org", "https://ann:***@x.org"),
            ("postgres://h/d?password=secret&sslmode=x", "postgres://h/d?password=***&sslmode=x"),
            ("postgres://h/d?sslpassword=secret", "postgres://h/d?sslpassword=***"),
            ("x@y: z", "x@y: z"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }
}
