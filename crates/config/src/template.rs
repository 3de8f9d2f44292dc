//! Texts with `${ROOT.field}` in them, and arguments that may be spliced.
//!
//! Templates are checked when the configuration is read and expanded when a command is made; the
//! values are put in as exact bytes and are never looked at again.

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::context::{Context, nearest};
use crate::decode::Decode;
use crate::diagnostic::Diagnostic;
use crate::expression::{self, BadExpression};
use crate::source::Span;
use crate::tree::Node;
use crate::value::Value;

/// Declares the roots with their words and fields.
macro_rules! roots {
    ($($variant:ident = $word:literal, $fields:expr;)+) => {
        /// Where a field path begins.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Root { $($variant),+ }

        impl Root {
            /// Every root's word.
            pub const WORDS: &[&str] = &[$($word),+];

            /// Returns the word in templates.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads a word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// Returns the fields, or `None` where the root has none or any.
            pub(crate) fn fields(self) -> Option<&'static [&'static str]> {
                match self { $(Self::$variant => $fields),+ }
            }
        }
    };
}

roots! {
    Args = "args", None;
    Change = "change", Some(&[
        "id", "author", "comments", "files", "when", "branch", "revision", "category",
        "repository", "project", "codebase",
    ]);
    Prop = "prop", None;
    Revision = "revision", Some(&["id", "short"]);
    User = "user", Some(&["name", "uid", "gid", "home", "host"]);
    Worker = "worker", Some(&["name"]);
    Build = "build", Some(&["number", "builder", "id"]);
}

/// A checked field access such as `change.branch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldPath {
    pub root: Root,
    pub fields: Vec<String>,
}

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.root.word())?;
        self.fields.iter().try_for_each(|field| write!(f, ".{field}"))
    }
}

/// A text with fields in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Piece {
    Literal(String),
    Field(FieldPath),
}

/// An element of an argument vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Argument {
    /// The whole element is one field: a list becomes as many elements as it has.
    Splice(FieldPath),
    Template(Template),
}

/// A template cannot be expanded for this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("there is no `{0}` here")]
    Missing(String),
    #[error("`{0}` is a list; it can only stand as a whole element")]
    NotText(String),
    #[error("`{0}` holds a NUL byte")]
    Nul(String),
}

/// Where values come from.
pub type Scope<'s> = &'s dyn Fn(&FieldPath) -> Option<Value>;

impl Template {
    /// Makes a template without fields.
    pub fn literal(text: impl Into<String>) -> Self {
        Self { pieces: vec![Piece::Literal(text.into())] }
    }

    /// Expands to exact bytes.
    ///
    /// # Errors
    /// When a field is not there, is no text, or holds NUL.
    pub fn render(&self, scope: Scope<'_>) -> Result<Vec<u8>, RenderError> {
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
                Piece::Field(path) => {
                    let value =
                        scope(path).ok_or_else(|| RenderError::Missing(path.to_string()))?;
                    bytes.extend(text_of(path, &value)?);
                }
            }
        }
        Ok(bytes)
    }
}

impl Argument {
    /// Expands to the elements it stands for.
    ///
    /// # Errors
    /// When a field is not there, is no text, or holds NUL.
    pub fn render_into(
        &self,
        scope: Scope<'_>,
        argv: &mut Vec<Vec<u8>>,
    ) -> Result<(), RenderError> {
        match self {
            Self::Template(template) => argv.push(template.render(scope)?),
            Self::Splice(path) => {
                let value = scope(path).ok_or_else(|| RenderError::Missing(path.to_string()))?;
                let items = if let Value::List(items) = value { items } else { vec![value] };
                for item in &items {
                    argv.push(text_of(path, item)?);
                }
            }
        }
        Ok(())
    }
}

fn text_of(path: &FieldPath, value: &Value) -> Result<Vec<u8>, RenderError> {
    let bytes = value.to_bytes().ok_or_else(|| RenderError::NotText(path.to_string()))?;
    if bytes.contains(&0) {
        return Err(RenderError::Nul(path.to_string()));
    }
    Ok(bytes)
}

/// A part of a template's text.
enum Raw<'t> {
    Literal(String),
    Expression(&'t str),
}

/// Splits a text at its `${…}`; `$${` is a literal `${`.
fn split(text: &str) -> Result<Vec<Raw<'_>>, BadExpression> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            literal.push_str(&rest[..at - 1]);
            literal.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        literal.push_str(&rest[..at]);
        let end = rest[at..].find('}').ok_or(BadExpression::Syntax)?;
        parts.push(Raw::Literal(std::mem::take(&mut literal)));
        parts.push(Raw::Expression(&rest[at + 2..at + end]));
        rest = &rest[at + end + 1..];
    }
    literal.push_str(rest);
    parts.push(Raw::Literal(literal));
    Ok(parts)
}

pub(crate) fn parse(text: &str) -> Result<Template, BadExpression> {
    let mut pieces = Vec::new();
    for part in split(text)? {
        match part {
            Raw::Literal(literal) if literal.is_empty() => {}
            Raw::Literal(literal) => pieces.push(Piece::Literal(literal)),
            Raw::Expression(source) => {
                pieces.push(Piece::Field(expression::parse_field(source.trim())?));
            }
        }
    }
    Ok(Template { pieces })
}

fn report(span: Span, bad: &BadExpression, cx: &mut Context<'_>) {
    let code = match bad {
        BadExpression::LaterRoot { .. } | BadExpression::LaterField { .. } => Code::NotYet,
        BadExpression::TooLong
        | BadExpression::TooDeep
        | BadExpression::Syntax
        | BadExpression::NotAField
        | BadExpression::UnknownRoot { .. }
        | BadExpression::UnknownField { .. } => Code::BadTemplate,
    };
    let problem = Diagnostic::new(code, span, bad.to_string());
    cx.report(match (code == Code::NotYet, meant(bad)) {
        (true, _) => problem,
        (false, Some(near)) => problem.label(format!("did you mean `{near}`?")),
        (false, None) => problem.help("`$${` is a literal `${`"),
    });
}

/// Returns what was probably meant by a name that does not exist.
fn meant(bad: &BadExpression) -> Option<String> {
    match bad {
        BadExpression::UnknownRoot { root } => nearest(root, Root::WORDS).map(str::to_owned),
        BadExpression::UnknownField { root, field, .. } => {
            let near = nearest(field, Root::from_word(root)?.fields()?)?;
            Some(format!("{root}.{near}"))
        }
        BadExpression::TooLong
        | BadExpression::TooDeep
        | BadExpression::Syntax
        | BadExpression::NotAField
        | BadExpression::LaterRoot { .. }
        | BadExpression::LaterField { .. } => None,
    }
}

impl Decode for Template {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        let parsed = parse(&text).inspect_err(|bad| report(node.span, bad, cx)).ok()?;
        if let Some(list) = parsed.pieces.iter().find(|piece| is_list(piece)) {
            let Piece::Field(path) = list else { return Some(parsed) };
            let message = format!("`{path}` is a list; it can only stand as a whole element");
            cx.report(Diagnostic::new(Code::BadTemplate, node.span, message));
            return None;
        }
        Some(parsed)
    }
}

fn is_list(piece: &Piece) -> bool {
    matches!(piece, Piece::Field(path) if path.root == Root::Args || path.fields == ["files"])
}

impl Decode for Argument {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        let parsed = parse(&text).inspect_err(|bad| report(node.span, bad, cx)).ok()?;
        if let [Piece::Field(path)] = parsed.pieces.as_slice() {
            return Some(Self::Splice(path.clone()));
        }
        Template::decode(node, cx).map(Self::Template)
    }
}

/// Reports templates in the body of a script, where they would never be expanded.
pub fn check_script(body: &str, span: Span, cx: &mut Context<'_>) {
    for (at, _) in body.match_indices("${") {
        let inner = body[at + 2..].split('}').next().unwrap_or_default();
        let Some((root, _)) = inner.split_once('.') else { continue };
        if Root::from_word(root).is_some() || expression::is_later_root(root) {
            let message = format!("`${{{inner}}}` is not expanded in a script");
            let name = inner.replace('.', "_").to_uppercase();
            cx.report(Diagnostic::new(Code::TemplateInScript, span, message).help(format!(
                "pass it by the environment: env = {{ {name} = \"${{{inner}}}\" }}, and write \"${name}\""
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(path: &FieldPath) -> Option<Value> {
        match path.to_string().as_str() {
            "args" => Some(Value::List(vec![Value::Str("a b".into()), Value::Bytes(vec![0xff])])),
            "change.branch" => Some(Value::Str("main".into())),
            _ => None,
        }
    }

    #[test]
    fn fields_stand_in_text() {
        let render = |text| parse(text).unwrap().render(&scope);
        assert_eq!(render("on ${change.branch}!"), Ok(b"on main!".to_vec()));
        assert_eq!(render("$${change.branch} $HOME"), Ok(b"${change.branch} $HOME".to_vec()));
        assert_eq!(render("${prop.x}"), Err(RenderError::Missing("prop.x".into())));
        assert!(parse("${change.branch").is_err());
    }

    #[test]
    fn arguments_are_spliced_byte_for_byte() {
        let mut argv = Vec::new();
        let path = expression::parse_field("args").unwrap();
        Argument::Splice(path).render_into(&scope, &mut argv).unwrap();
        assert_eq!(argv, [b"a b".to_vec(), vec![0xff]]);
    }
}
