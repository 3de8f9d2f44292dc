//! Tables whose `type` chooses what they are.

use crate::code::Code;
use crate::context::{Context, nearest};
use crate::decode::Decode as _;
use crate::diagnostic::Diagnostic;
use crate::tree::{Node, NodeKind};

/// One kind: its word and how its table is decoded.
#[derive(Debug, Clone, Copy)]
pub struct Kind<T> {
    pub name: &'static str,
    pub decode: fn(&Node, &mut Context<'_>) -> Option<T>,
}

/// Decodes a table by its `type`. `later` are kinds of later versions.
pub fn by_type<T>(
    node: &Node,
    kinds: &[Kind<T>],
    later: &[&'static str],
    cx: &mut Context<'_>,
) -> Option<T> {
    let NodeKind::Table(entries) = &node.kind else {
        crate::decode::wrong_type(node, "a table with a `type`", cx);
        return None;
    };
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
    let Some(entry) = entries.iter().find(|entry| entry.key == "type") else {
        let problem = Diagnostic::new(Code::MissingKey, node.span, "`type` is missing");
        cx.report(problem.help(format!("types here: {}", names.join(", "))));
        return None;
    };
    let word = String::decode(&entry.value, cx)?;
    if let Some(kind) = kinds.iter().find(|kind| kind.name == word) {
        return (kind.decode)(node, cx);
    }
    if later.contains(&word.as_str()) {
        let message = format!("type `{word}` is not in this version");
        cx.report(Diagnostic::new(Code::NotYet, entry.value.span, message));
        return None;
    }
    let mut problem =
        Diagnostic::new(Code::UnknownType, entry.value.span, format!("there is no type `{word}`"));
    problem = match nearest(&word, &names) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem.help(format!("types here: {}", names.join(", "))),
    };
    cx.report(problem);
    None
}
