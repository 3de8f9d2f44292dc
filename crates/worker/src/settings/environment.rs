//! The `env` table: variables every command on this worker gets.

use std::collections::BTreeMap;

use config::{Code, Context, Decode, Diagnostic, Node, NodeKind};

/// Names and values, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Variables(pub BTreeMap<String, String>);

impl Decode for Variables {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Table(entries) = &node.kind else {
            let problem = Diagnostic::new(Code::WrongType, node.span, "expected a table");
            cx.report(problem.label(format!("this is {}", node.type_name())));
            return None;
        };
        let mut variables = BTreeMap::new();
        for entry in entries {
            if !is_variable_name(&entry.key) {
                let message = format!("`{}` cannot be the name of a variable", entry.key);
                let problem = Diagnostic::new(Code::OutOfRange, entry.key_span, message);
                cx.report(problem.help("letters, digits and `_`, not beginning with a digit"));
                continue;
            }
            if let Some(value) = String::decode(&entry.value, cx) {
                variables.insert(entry.key.clone(), value);
            }
        }
        Some(Self(variables))
    }
}

fn is_variable_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
