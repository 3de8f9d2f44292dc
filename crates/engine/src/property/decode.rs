//! Reads `properties = { NAME = VALUE }` of the configuration.

use std::collections::BTreeMap;

use config::{Code, Context, Diagnostic, Entry, Fields, Node, NodeKind, Value};

use super::is_reserved;

/// Deepest nesting of a value.
const DEPTH: usize = 16;

/// Reads the properties under a key.
pub fn table(
    fields: &mut Fields<'_>,
    key: &'static str,
    cx: &mut Context<'_>,
) -> Option<BTreeMap<String, Value>> {
    let Some(Entry { value: node, .. }) = fields.entry(key) else { return Some(BTreeMap::new()) };
    let NodeKind::Table(entries) = &node.kind else {
        let problem = Diagnostic::new(Code::WrongType, node.span, "expected a table of properties");
        cx.report(problem.help(format!("write: {key} = {{ NAME = \"value\" }}")));
        return None;
    };
    let read: Vec<_> = entries.iter().map(|entry| property(entry, cx)).collect();
    read.into_iter().collect()
}

fn property(entry: &Entry, cx: &mut Context<'_>) -> Option<(String, Value)> {
    if is_reserved(&entry.key) {
        let message = format!("`{}` is who called, and nobody else's to set", entry.key);
        let problem = Diagnostic::new(Code::BadName, entry.key_span, message);
        cx.report(problem.help("choose another name"));
        return None;
    }
    if entry.key.is_empty() {
        cx.report(Diagnostic::new(Code::BadName, entry.key_span, "a property has a name"));
        return None;
    }
    Some((entry.key.clone(), value(&entry.value, DEPTH, cx)?))
}

fn value(node: &Node, depth: usize, cx: &mut Context<'_>) -> Option<Value> {
    let refuse = |cx: &mut Context<'_>, message: &str| {
        cx.report(Diagnostic::new(Code::OutOfRange, node.span, message));
        None
    };
    if depth == 0 {
        return refuse(cx, "the value nests too deep");
    }
    match &node.kind {
        NodeKind::Bool(fact) => Some(Value::Bool(*fact)),
        NodeKind::Integer(number) => Some(Value::Int(*number)),
        NodeKind::Float(number) if number.is_finite() => Some(Value::Float(*number)),
        NodeKind::Float(_) => refuse(cx, "a property is a finite number"),
        NodeKind::Text(text) => Some(Value::Str(text.clone())),
        NodeKind::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| value(item, depth - 1, cx)).collect();
            items.into_iter().collect::<Option<_>>().map(Value::List)
        }
        NodeKind::Table(entries) => {
            let entry = |entry: &Entry, cx: &mut Context<'_>| {
                Some((entry.key.clone(), value(&entry.value, depth - 1, cx)?))
            };
            let entries: Vec<_> = entries.iter().map(|one| entry(one, cx)).collect();
            entries.into_iter().collect::<Option<_>>().map(Value::Map)
        }
        NodeKind::DateTime => refuse(cx, "a property is no date; write it as a text"),
    }
}
