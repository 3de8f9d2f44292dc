//! Decoding of single values.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::code::Code;
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::duration::parse_duration;
use crate::name::Name;
use crate::source::Spanned;
use crate::tree::{Node, NodeKind};

/// Something that can be read from a configuration.
///
/// `None` means that at least one problem was reported; decoding goes on elsewhere.
pub trait Decode: Sized {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self>;
}

/// Reports a value of the wrong type.
pub(crate) fn wrong_type(node: &Node, wanted: &str, cx: &mut Context<'_>) {
    let message = format!("expected {wanted}");
    let problem = Diagnostic::new(Code::WrongType, node.span, message);
    cx.report(problem.label(format!("this is {}", node.type_name())));
}

impl Decode for bool {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Bool(fact) = node.kind else {
            wrong_type(node, "true or false", cx);
            return None;
        };
        Some(fact)
    }
}

impl Decode for i64 {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Integer(number) = node.kind else {
            wrong_type(node, "an integer", cx);
            return None;
        };
        Some(number)
    }
}

impl Decode for u32 {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let number = i64::decode(node, cx)?;
        let Ok(number) = Self::try_from(number) else {
            let message = format!("expected a number from 0 to {}", Self::MAX);
            cx.report(Diagnostic::new(Code::OutOfRange, node.span, message));
            return None;
        };
        Some(number)
    }
}

impl Decode for String {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Text(text) = &node.kind else {
            wrong_type(node, "a text", cx);
            return None;
        };
        if text.contains('\0') {
            cx.report(Diagnostic::new(Code::OutOfRange, node.span, "a text may not hold NUL"));
            return None;
        }
        Some(text.clone())
    }
}

impl Decode for Name {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        match Self::parse(&text) {
            Ok(name) => Some(name),
            Err(bad) => {
                cx.report(Diagnostic::new(Code::BadName, node.span, bad.to_string()));
                None
            }
        }
    }
}

impl Decode for Duration {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let help = "durations look like \"90s\", \"20m\", \"8h\", \"3d\"";
        let problem =
            Diagnostic::new(Code::BadDuration, node.span, "expected a duration").help(help);
        match &node.kind {
            NodeKind::Text(text) => {
                let parsed = parse_duration(text);
                if parsed.is_none() {
                    cx.report(problem);
                }
                parsed
            }
            NodeKind::Integer(number) => {
                cx.report(problem.label(format!("write the unit: \"{number}s\"")));
                None
            }
            NodeKind::Bool(_)
            | NodeKind::Float(_)
            | NodeKind::Array(_)
            | NodeKind::Table(_)
            | NodeKind::DateTime => {
                cx.report(problem);
                None
            }
        }
    }
}

impl Decode for PathBuf {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        Some(cx.path(node.span, &text))
    }
}

impl Decode for SocketAddr {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        // Clients write their master's address with the kind before it, as in `unix:`.
        let Ok(address) = text.strip_prefix("tcp:").unwrap_or(&text).parse() else {
            let problem = Diagnostic::new(Code::BadAddress, node.span, "expected an address");
            cx.report(problem.help("addresses look like \"127.0.0.1:9989\" or \"[::]:9989\""));
            return None;
        };
        Some(address)
    }
}

impl<T: Decode> Decode for Spanned<T> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        Some(Self { value: T::decode(node, cx)?, span: node.span })
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Array(items) = &node.kind else {
            wrong_type(node, "a list", cx);
            return None;
        };
        let decoded: Vec<_> = items.iter().map(|item| T::decode(item, cx)).collect();
        decoded.into_iter().collect()
    }
}

/// A list that means nothing without an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtLeastOne<T>(pub Vec<T>);

impl<T: Decode> Decode for AtLeastOne<T> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let items = Vec::decode(node, cx)?;
        if items.is_empty() {
            let message = "this list needs at least one element";
            cx.report(Diagnostic::new(Code::OutOfRange, node.span, message));
            return None;
        }
        Some(Self(items))
    }
}

impl<T: Decode> Decode for BTreeMap<Name, T> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Table(entries) = &node.kind else {
            wrong_type(node, "a table", cx);
            return None;
        };
        let mut map = Self::new();
        for entry in entries {
            match Name::parse(&entry.key) {
                Err(bad) => {
                    cx.report(Diagnostic::new(Code::BadName, entry.key_span, bad.to_string()));
                }
                Ok(name) => {
                    if let Some(value) = T::decode(&entry.value, cx) {
                        map.insert(name, value);
                    }
                }
            }
        }
        Some(map)
    }
}
