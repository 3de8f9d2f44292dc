//! `require = "…"`: what a worker has to be or have.
//!
//! What stands between `&&` on the outside is judged part by part, so that people can be told which
//! part a worker fails.

use std::fmt;

use crate::context::Context;
use crate::decode::Decode;
use crate::expression::{self, BadExpression, Expr, Known, Type, Wrong};
use crate::template::{self, Scope};
use crate::tree::Node;
use crate::value::Value;

/// A requirement whose names and types were checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
struct Part {
    text: String,
    expression: Expr,
}

/// The part of a requirement that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// As it was written.
    pub part: String,
    /// What is there instead; one sentence.
    pub why: String,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, why } = self;
        write!(f, "{part} does not hold: {why}")
    }
}

impl Requirement {
    /// Returns the first part that does not hold. One that cannot be evaluated, as something that
    /// it names is not there, does not hold.
    pub fn unmet(&self, scope: Scope<'_>) -> Option<Unmet> {
        self.parts.iter().find_map(|part| {
            let why = part.unmet(scope)?;
            Some(Unmet { part: part.text.clone(), why })
        })
    }
}

impl Part {
    fn unmet(&self, scope: Scope<'_>) -> Option<String> {
        match self.expression.evaluate(scope) {
            Ok(Value::Bool(true)) => None,
            Ok(Value::Bool(false)) => Some(self.seen(scope)),
            Ok(other) => Some(format!("it is `{:.64}`, not true or false", other.to_string())),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Says what the names in the part stand for.
    fn seen(&self, scope: Scope<'_>) -> String {
        let mut names = Vec::new();
        self.expression.names(&mut names);
        let shown = names.into_iter().map(|(name, expression)| match expression.evaluate(scope) {
            Ok(value) => format!("{name} is {:.64}", shown(&value)),
            Err(error) => error.to_string(),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

fn shown(value: &Value) -> String {
    let Value::List(items) = value else { return value.to_string() };
    let items: Vec<String> = items.iter().map(shown).collect();
    format!("[{}]", items.join(", "))
}

impl Expr {
    /// Collects what is named, with the expression that stands for it, each once.
    fn names<'e>(&'e self, names: &mut Vec<(String, &'e Self)>) {
        if let Some(name) = self.name() {
            if names.iter().all(|(known, _)| *known != name) {
                names.push((name, self));
            }
            return;
        }
        match self {
            Self::Literal(_) | Self::Field(_) | Self::Variable(_) => {}
            Self::Select(inner, _) | Self::Has(inner) | Self::Not(inner) | Self::Negate(inner) => {
                inner.names(names);
            }
            Self::Index(one, other) | Self::Binary(_, one, other) => {
                one.names(names);
                other.names(names);
            }
            Self::If(condition, yes, no) => {
                [condition, yes, no].iter().for_each(|part| part.names(names));
            }
            Self::List(items) | Self::Call(_, items) => {
                items.iter().for_each(|item| item.names(names));
            }
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.names(names)),
            Self::Each(each) => each.list.names(names),
        }
    }

    /// Returns how a field, or a field of a field, is written.
    fn name(&self) -> Option<String> {
        if let Self::Select(inner, field) = self {
            return Some(format!("{}.{field}", inner.name()?));
        }
        let Self::Field(path) = self else { return None };
        Some(path.to_string())
    }
}

/// Reads a requirement.
fn parse(text: &str) -> Result<Requirement, BadExpression> {
    let parts = parts(text).into_iter().map(|at| {
        let inner = &text[at.clone()];
        let shift = at.start + inner.len() - inner.trim_start().len();
        let part = part(inner.trim());
        part.map_err(|bad| BadExpression {
            place: bad.place.map(|place| place.start + shift..place.end + shift),
            ..bad
        })
    });
    Ok(Requirement { parts: parts.collect::<Result<_, _>>()? })
}

fn part(text: &str) -> Result<Part, BadExpression> {
    let (expression, kind) = expression::parse(text, Known::OfWorker)?;
    if !kind.fits(&Type::Bool) {
        let message = format!("a requirement is true or false, and this is {kind}");
        return Err(BadExpression { kind: Wrong::Type, message, near: None, place: None });
    }
    Ok(Part { text: text.to_owned(), expression })
}

/// Cuts a text at the `&&` on the outside. Where one of its operators binds less it is one part.
fn parts(text: &str) -> Vec<std::ops::Range<usize>> {
    let (mut depth, mut quote, mut is_escaped) = (0i32, None, false);
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, byte) in text.bytes().enumerate() {
        if let Some(mark) = quote {
            if byte == mark && !is_escaped {
                quote = None;
            }
            is_escaped = byte == b'\\' && !is_escaped;
            continue;
        }
        match byte {
            b'"' | b'\'' => quote = Some(byte),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'|' | b'?' if depth == 0 => {
                (parts, start) = (Vec::new(), 0);
                break;
            }
            b'&' if depth == 0 && at > start && text.as_bytes()[at - 1] == b'&' => {
                parts.push(start..at - 1);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(start..text.len());
    parts
}

impl Decode for Requirement {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        parse(&text).inspect_err(|bad| template::report(node.span, &text, bad, cx)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::template::FieldPath;

    fn scope(path: &FieldPath) -> Option<Value> {
        let text = |text: &str| Value::Str(text.to_owned());
        match path.to_string().as_str() {
            "worker.labels" => Some(Value::List(vec![text("x11"), text("gpu")])),
            "worker.cpus" => Some(Value::Int(4)),
            "worker.probe" => {
                let probes = [("python", text("3.9.2")), ("cuda", Value::Bool(true))];
                Some(Value::Map(BTreeMap::from(
                    probes.map(|(name, value)| (name.to_owned(), value)),
                )))
            }
            _ => None,
        }
    }

    fn unmet(text: &str) -> Option<String> {
        parse(text).unwrap().unmet(&scope).map(|unmet| unmet.to_string())
    }

    #[test]
    fn what_holds_is_met() {
        for text in [
            "\"x11\" in worker.labels",
            "worker.cpus >= 4 && worker.probe.cuda",
            "worker.probe.python >= version(\"3.9\") && worker.probe.python < version(\"3.10\")",
            "worker.probe.numpy > version(\"2\") || worker.probe.cuda",
            "!has(worker.probe.numpy)",
        ] {
            assert_eq!(unmet(text), None, "{text}");
        }
    }

    #[test]
    fn the_part_that_fails_is_told_with_what_is_there() {
        for (text, told) in [
            (
                "\"x11\" in worker.labels && worker.probe.python >= version(\"3.10\")",
                "worker.probe.python >= version(\"3.10\") does not hold: worker.probe.python is 3.9.2",
            ),
            (
                "worker.cpus > 8 && \"x11\" in worker.labels",
                "worker.cpus > 8 does not hold: worker.cpus is 4",
            ),
            (
                "(worker.cpus > 8 && worker.probe.cuda) || worker.cpus == 2",
                "(worker.cpus > 8 && worker.probe.cuda) || worker.cpus == 2 does not hold: \
                 worker.cpus is 4, worker.probe.cuda is true",
            ),
            (
                "worker.probe.numpy > version(\"2\")",
                "worker.probe.numpy > version(\"2\") does not hold: there is no `numpy` here",
            ),
            (
                "worker.probe.cuda > 3",
                "worker.probe.cuda > 3 does not hold: `true` and `3` have no order",
            ),
            (
                "worker.probe.python",
                "worker.probe.python does not hold: it is `3.9.2`, not true or false",
            ),
            (
                "worker.os == \"a && b\"",
                "worker.os == \"a && b\" does not hold: there is no `worker.os` here",
            ),
        ] {
            assert_eq!(unmet(text).as_deref(), Some(told));
        }
    }

    #[test]
    fn mistakes_are_told_at_their_place() {
        for (text, place) in [
            ("worker.cpus > 1 && worker.cpu > 2", Some(19..29)),
            ("worker.cpus > 1 && change.branch == \"a\"", None),
            ("worker.cpus + 1", None),
            ("worker.cpus > \"a\"", None),
        ] {
            let bad = parse(text).unwrap_err();
            assert!(place.is_none() || bad.place == place, "{text}: {bad:?}");
        }
    }
}
