//! Holds a page that describes keys against the decoders that read them.
//!
//! The page has a heading ``### `PATH` `` for each table, with the names of things written as they
//! are in a sample (`builder.NAME.steps`), and a row ``| `key` | … `` for each of its keys. Several
//! headings may share a path, as the kinds of a thing do.

use std::collections::{BTreeMap, BTreeSet};

use crate::context::Context;
use crate::source::Span;
use crate::tree::{Node, NodeKind};

type Keys = BTreeMap<String, BTreeSet<String>>;

/// The keys that samples of all kinds were decoded by.
#[derive(Debug, Default)]
pub struct DecodedKeys {
    tables: Keys,
}

impl DecodedKeys {
    /// Adds what was asked of a sample. Everything in it has to have a name, so that tables are
    /// told apart by their places.
    pub fn add(&mut self, sample: &Node, cx: &Context<'_>) {
        let mut paths = BTreeMap::new();
        walk(sample, "", &mut paths);
        for (span, keys) in cx.tables() {
            let path = paths.get(span).cloned().unwrap_or_default();
            let known = self.tables.entry(path).or_default();
            known.extend(keys.iter().map(|key| (*key).to_owned()));
        }
    }

    /// Returns a sentence for each key that a page lacks, or has and nobody reads.
    pub fn compare(&self, page: &str) -> Vec<String> {
        let described = described(page);
        let missing = all(&self.tables).filter(|pair| !has(&described, *pair));
        let missing = missing.map(|(path, key)| format!("`{key}` of `{path}` is not described"));
        let strange = all(&described).filter(|pair| !has(&self.tables, *pair));
        let strange = strange.map(|(path, key)| format!("nobody reads `{key}` of `{path}`"));
        missing.chain(strange).collect()
    }
}

fn all(keys: &Keys) -> impl Iterator<Item = (&str, &str)> {
    keys.iter().flat_map(|(path, keys)| keys.iter().map(|key| (path.as_str(), key.as_str())))
}

fn has(keys: &Keys, (path, key): (&str, &str)) -> bool {
    keys.get(path).is_some_and(|keys| keys.contains(key))
}

/// Notes the path of every table.
fn walk(node: &Node, path: &str, paths: &mut BTreeMap<Span, String>) {
    match &node.kind {
        NodeKind::Table(entries) => {
            paths.entry(node.span).or_insert_with(|| path.to_owned());
            for entry in entries {
                let dot = if path.is_empty() { "" } else { "." };
                walk(&entry.value, &format!("{path}{dot}{}", entry.key), paths);
            }
        }
        NodeKind::Array(items) => items.iter().for_each(|item| walk(item, path, paths)),
        NodeKind::Bool(_)
        | NodeKind::Integer(_)
        | NodeKind::Float(_)
        | NodeKind::Text(_)
        | NodeKind::DateTime => {}
    }
}

/// The defaults that a page names, by table and key, as the page has them.
#[derive(Debug, Default)]
pub struct Defaults {
    tables: BTreeMap<String, Vec<(String, String)>>,
}

impl Defaults {
    /// Reads the rows `| key | type | default | effect |`; a key without a default has to be there.
    pub fn of_page(page: &str) -> Self {
        let mut tables: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        let mut path = None;
        for line in page.lines() {
            if let Some(heading) = line.strip_prefix("### ") {
                path = heading.split('`').nth(1).map(str::to_owned);
            } else if let (Some(path), Some(row)) = (&path, line.strip_prefix("| `")) {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                if let [key, _, default, ..] = cells.as_slice()
                    && !default.is_empty()
                {
                    let key = key.trim_end_matches('`').to_owned();
                    tables.entry(path.clone()).or_default().push((key, default.replace('`', "")));
                }
            }
        }
        Self { tables }
    }

    /// Returns the defaults of a table of the page, in its order.
    pub fn of_table(&self, path: &str) -> &[(String, String)] {
        self.tables.get(path).map_or(&[], Vec::as_slice)
    }
}

fn described(page: &str) -> Keys {
    let mut keys = Keys::new();
    let mut path = None;
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            path = heading.split('`').nth(1).map(str::to_owned);
        } else if let (Some(path), Some(key)) = (&path, line.strip_prefix("| `"))
            && let Some((key, _)) = key.split_once('`')
        {
            keys.entry(path.clone()).or_default().insert(key.to_owned());
        }
    }
    keys
}
