//! What is different between two configurations, whatever kinds of things are in them.
//!
//! Values are compared, not texts: comments, the order of keys and the file in which a table
//! stands make no difference. The order within a list does.

use crate::setting::{Path, are_tables, name_of, settings_element as element, show};
use crate::tree::{Entry, Node, NodeKind};

/// One difference. Values are as `show` shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub path: Path,
    pub what: What,
}

/// What became of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Added { new: String },
    Removed { old: String },
    Changed { old: String, new: String },
}

/// Lists the differences from one tree to another, in the order of their paths. What is new or
/// gone as a whole, such as a builder, is one difference.
pub fn differences(old: &Node, new: &Node) -> Vec<Difference> {
    let mut list = Vec::new();
    compare(&Path::default(), old, new, &mut list);
    list
}

/// Says whether two trees mean the same.
pub fn is_same(old: &Node, new: &Node) -> bool {
    differences(old, new).is_empty()
}

fn compare(path: &Path, old: &Node, new: &Node, list: &mut Vec<Difference>) {
    match (&old.kind, &new.kind) {
        (NodeKind::Table(old), NodeKind::Table(new)) => compare_tables(path, old, new, list),
        (NodeKind::Array(old), NodeKind::Array(new)) if are_tables(old) && are_tables(new) => {
            compare_lists(path, old, new, list);
        }
        (NodeKind::Array(old_items), NodeKind::Array(new_items))
            if old_items.len() == new_items.len()
                && old_items.iter().zip(new_items).all(|(old, new)| is_same(old, new)) => {}
        (old_kind, new_kind) if is_same_scalar(old_kind, new_kind) => {}
        _ => list.push(Difference {
            path: path.clone(),
            what: What::Changed { old: show(old), new: show(new) },
        }),
    }
}

fn is_same_scalar(old: &NodeKind, new: &NodeKind) -> bool {
    match (old, new) {
        (NodeKind::Bool(old), NodeKind::Bool(new)) => old == new,
        (NodeKind::Integer(old), NodeKind::Integer(new)) => old == new,
        // By bits: what is not a number is the same as itself.
        (NodeKind::Float(old), NodeKind::Float(new)) => old.to_bits() == new.to_bits(),
        (NodeKind::Text(old), NodeKind::Text(new)) => old == new,
        (_, _) => false,
    }
}

/// What tables stand for that hold named things: without any it means the same as if not there.
fn is_nothing(node: &Node, depth: usize) -> bool {
    depth == 1 && matches!(&node.kind, NodeKind::Table(entries) if entries.is_empty())
}

fn compare_tables(path: &Path, old: &[Entry], new: &[Entry], list: &mut Vec<Difference>) {
    let empty = |like: &Node| Node { span: like.span, kind: NodeKind::Table(Vec::new()) };
    let mut keys: Vec<&str> = old.iter().chain(new).map(|entry| entry.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let path = path.with(key);
        let depth = path.keys().len();
        let find = |entries: &'_ [Entry]| {
            let found = entries.iter().find(|entry| entry.key == key);
            found.map(|entry| entry.value.clone()).filter(|node| !is_nothing(node, depth))
        };
        match (find(old), find(new)) {
            (Some(old), Some(new)) => compare(&path, &old, &new, list),
            // Each builder is told of by itself, even if it is the first one.
            (None, Some(new)) if is_section(&new, depth) => {
                compare(&path, &empty(&new), &new, list);
            }
            (Some(old), None) if is_section(&old, depth) => {
                compare(&path, &old, &empty(&old), list);
            }
            (None, Some(new)) => {
                list.push(Difference { path, what: What::Added { new: show(&new) } });
            }
            (Some(old), None) => {
                list.push(Difference { path, what: What::Removed { old: show(&old) } });
            }
            (None, None) => {}
        }
    }
}

/// Says whether a table at the top holds named things.
fn is_section(node: &Node, depth: usize) -> bool {
    let NodeKind::Table(entries) = &node.kind else { return false };
    depth == 1 && entries.iter().all(|entry| matches!(entry.value.kind, NodeKind::Table(_)))
}

/// Compares lists of tables: what is the same at both ends is left out, the rest is paired in its
/// order, by name where there are names.
fn compare_lists(path: &Path, old: &[Node], new: &[Node], list: &mut Vec<Difference>) {
    let same = old.iter().zip(new).take_while(|(old, new)| is_same(old, new)).count();
    let rest = old.len().min(new.len()) - same;
    let backwards = old.iter().rev().zip(new.iter().rev()).take(rest);
    let tail = backwards.take_while(|(old, new)| is_same(old, new)).count();
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let (mut at_old, mut at_new) = (same, same);
    while at_old < old_end || at_new < new_end {
        let old_item = old.get(at_old).filter(|_| at_old < old_end);
        let new_item = new.get(at_new).filter(|_| at_new < new_end);
        let comes_later = |item: &Node, among: &[Node]| {
            name_of(item).is_some() && among.iter().any(|other| name_of(other) == name_of(item))
        };
        match (old_item, new_item) {
            (Some(old_item), Some(new_item)) if name_of(old_item) == name_of(new_item) => {
                compare(&path.with(element(new, at_new)), old_item, new_item, list);
                (at_old, at_new) = (at_old + 1, at_new + 1);
            }
            (Some(old_item), Some(new_item))
                if !comes_later(old_item, &new[at_new..new_end])
                    && !comes_later(new_item, &old[at_old..old_end]) =>
            {
                compare(&path.with(element(new, at_new)), old_item, new_item, list);
                (at_old, at_new) = (at_old + 1, at_new + 1);
            }
            (Some(old_item), new_item)
                if new_item.is_none() || !comes_later(old_item, &new[at_new..new_end]) =>
            {
                let path = path.with(element(old, at_old));
                list.push(Difference { path, what: What::Removed { old: show(old_item) } });
                at_old += 1;
            }
            (_, Some(new_item)) => {
                let path = path.with(element(new, at_new));
                list.push(Difference { path, what: What::Added { new: show(new_item) } });
                at_new += 1;
            }
            (Some(_), None) | (None, None) => break,
        }
    }
}
