//! Builders that the configuration no longer has, kept for what waits for them.
//!
//! Such a builder is put back among the tables of the new configuration as it was, and has to pass
//! all checks there: one whose workers are gone too cannot be kept.

use std::collections::BTreeSet;

use config::{Entry, Name, Node, NodeKind, SourceFile};
use engine::settings::Settings;

use crate::settings;

/// A builder's table, with the files it stands in.
#[derive(Debug, Clone)]
pub(super) struct Retained {
    pub(super) name: Name,
    entry: Entry,
    files: Vec<SourceFile>,
}

const SECTION: &str = "builder";

/// Lists the builders of a tree.
pub(super) fn builders(tree: &Node) -> BTreeSet<Name> {
    let names = section(tree).iter().filter_map(|entry| Name::parse(&entry.key).ok());
    names.collect()
}

fn section(tree: &Node) -> &[Entry] {
    let NodeKind::Table(entries) = &tree.kind else { return &[] };
    match entries.iter().find(|entry| entry.key == SECTION).map(|entry| &entry.value.kind) {
        Some(NodeKind::Table(builders)) => builders,
        Some(_) | None => &[],
    }
}

impl Retained {
    /// Takes a builder out of a configuration that has it.
    pub(super) fn of(name: &Name, tree: &Node, files: &[SourceFile]) -> Option<Self> {
        let entry = section(tree).iter().find(|entry| entry.key == name.as_str())?.clone();
        Some(Self { name: name.clone(), entry, files: files.to_vec() })
    }

    /// Adds the builder to settings, where it can run with the rest of their configuration. Says
    /// whether it can.
    pub(super) fn join(&self, tree: &Node, files: &[SourceFile], settings: &mut Settings) -> bool {
        let mut tree = tree.clone();
        let mut entry = self.entry.clone();
        shift(&mut entry, files.len());
        let files: Vec<SourceFile> = files.iter().chain(&self.files).cloned().collect();
        put(&mut tree, entry);
        let Some(mut whole) = settings::decode_tree(&tree, &files) else { return false };
        let Some(builder) = whole.engine.builders.remove(&self.name) else { return false };
        settings.builders.insert(self.name.clone(), builder);
        settings.retired.insert(self.name.clone());
        true
    }
}

fn put(tree: &mut Node, builder: Entry) {
    let NodeKind::Table(entries) = &mut tree.kind else { return };
    match entries.iter_mut().find(|entry| entry.key == SECTION) {
        Some(Entry { value: Node { kind: NodeKind::Table(builders), .. }, .. }) => {
            builders.push(builder);
        }
        Some(_) => {}
        None => entries.push(Entry {
            key: SECTION.to_owned(),
            key_span: builder.key_span,
            value: Node { span: builder.key_span, kind: NodeKind::Table(vec![builder]) },
        }),
    }
}

/// Moves places behind so many other files.
fn shift(entry: &mut Entry, files: usize) {
    entry.key_span.file += files;
    shift_node(&mut entry.value, files);
}

fn shift_node(node: &mut Node, files: usize) {
    node.span.file += files;
    match &mut node.kind {
        NodeKind::Table(entries) => entries.iter_mut().for_each(|entry| shift(entry, files)),
        NodeKind::Array(items) => items.iter_mut().for_each(|item| shift_node(item, files)),
        NodeKind::Bool(_)
        | NodeKind::Integer(_)
        | NodeKind::Float(_)
        | NodeKind::Text(_)
        | NodeKind::DateTime => {}
    }
}
