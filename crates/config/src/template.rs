//! Texts with `${…}` in them, and arguments that may be spliced.
//!
//! Templates are checked when the configuration is read and expanded when a command is made; the
//! values are put in as exact bytes and are never looked at again.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::context::Context;
use crate::decode::Decode;
use crate::diagnostic::Diagnostic;
use crate::expression::{self, BadExpression, Expr, Known, Type, Wrong};
use crate::name::Name;
use crate::source::{Span, Spanned};
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

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.root.word())?;
        self.fields.iter().try_for_each(|field| write!(f, ".{field}"))
    }
}

/// A text with expressions in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Piece {
    Literal(String),
    Field(FieldPath),
    Expression(Expr),
    /// Its value is put in where the command is made, and not before.
    Secret(Name),
}

/// A part of an expanded template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Bytes(Vec<u8>),
    /// The value of the secret belongs here.
    Secret(Name),
}

/// An element of an argument vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Argument {
    /// The whole element is one field: a list becomes as many elements as it has.
    Splice(FieldPath),
    Template(Template),
    /// The same for an expression.
    SpliceAll(Expr),
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
    #[error("{0}")]
    Failed(String),
    #[error("the expression takes too many steps")]
    TooCostly,
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
        for part in self.render_parts(scope)? {
            match part {
                Part::Bytes(part) => bytes.extend(part),
                Part::Secret(name) => return Err(RenderError::Missing(format!("secret.{name}"))),
            }
        }
        Ok(bytes)
    }

    /// Says whether it has secrets in it.
    pub fn has_secrets(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Secret(_)))
    }

    /// Expands to exact bytes and the names of secrets.
    ///
    /// # Errors
    /// When a field is not there, is no text, or holds NUL.
    pub fn render_parts(&self, scope: Scope<'_>) -> Result<Vec<Part>, RenderError> {
        let (mut parts, mut bytes) = (Vec::new(), Vec::new());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
                Piece::Secret(name) => {
                    parts.push(Part::Bytes(std::mem::take(&mut bytes)));
                    parts.push(Part::Secret(name.clone()));
                }
                Piece::Field(path) => {
                    let value =
                        scope(path).ok_or_else(|| RenderError::Missing(path.to_string()))?;
                    bytes.extend(text_of(path, &value)?);
                }
                Piece::Expression(expression) => {
                    bytes.extend(text_of(&"an expression", &expression.evaluate(scope)?)?);
                }
            }
        }
        parts.push(Part::Bytes(bytes));
        parts.retain(|part| !matches!(part, Part::Bytes(bytes) if bytes.is_empty()));
        Ok(parts)
    }

    /// Reads the value of an environment variable, where secrets may stand, with those it names.
    pub fn decode_for_env(node: &Node, cx: &mut Context<'_>) -> Option<(Self, Vec<Spanned<Name>>)> {
        let text = String::decode(node, cx)?;
        let parsed = pieces(&text, Secrets::Named).and_then(|(pieces, named)| {
            let place = |at| cx.within(node.span, &text, at);
            let name = |(name, at)| Spanned { value: name, span: place(at) };
            Ok((whole(pieces)?, named.into_iter().map(name).collect()))
        });
        parsed.inspect_err(|bad| report(node.span, &text, bad, cx)).ok()
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
                splice(path, value, argv)?;
            }
            Self::SpliceAll(expression) => {
                splice(&"an expression", expression.evaluate(scope)?, argv)?;
            }
        }
        Ok(())
    }
}

/// Adds a list's elements, or the one value.
fn splice(
    what: &dyn fmt::Display,
    value: Value,
    argv: &mut Vec<Vec<u8>>,
) -> Result<(), RenderError> {
    let items = if let Value::List(items) = value { items } else { vec![value] };
    for item in &items {
        argv.push(text_of(what, item)?);
    }
    Ok(())
}

fn text_of(path: &dyn fmt::Display, value: &Value) -> Result<Vec<u8>, RenderError> {
    let bytes = value.to_bytes().ok_or_else(|| RenderError::NotText(path.to_string()))?;
    if bytes.contains(&0) {
        return Err(RenderError::Nul(path.to_string()));
    }
    Ok(bytes)
}

/// A part of a template's text.
enum Raw<'t> {
    Literal(String),
    /// With its place in the text.
    Expression(&'t str, usize),
}

/// Splits a text at its `${…}`; `$${` is a literal `${`.
fn split(text: &str) -> Result<Vec<Raw<'_>>, BadExpression> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let begin = at + found;
        if text[at..begin].ends_with('$') {
            literal.push_str(&text[at..begin - 1]);
            literal.push_str("${");
            at = begin + 2;
            continue;
        }
        literal.push_str(&text[at..begin]);
        let inner = begin + 2;
        let end = inner + length(&text[inner..]).ok_or_else(BadExpression::syntax)?;
        parts.push(Raw::Literal(std::mem::take(&mut literal)));
        parts.push(Raw::Expression(&text[inner..end], inner));
        at = end + 1;
    }
    literal.push_str(&text[at..]);
    parts.push(Raw::Literal(literal));
    Ok(parts)
}

/// Returns how long an expression is that ends at a `}`: one that is neither in a text nor closes a
/// bracket of the expression's own.
fn length(text: &str) -> Option<usize> {
    let mut open = 0usize;
    let mut quote = None;
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(mark), character) => quote = (mark != character).then_some(mark),
            (None, '"' | '\'') => quote = Some(character),
            (None, '{') => open += 1,
            (None, '}') if open == 0 => return Some(at),
            (None, '}') => open -= 1,
            (None, _) => {}
        }
    }
    None
}

/// Whether a text may name secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Named,
    Refused,
}

type Pieces = Vec<(Piece, Type)>;
/// Secrets that a text names, with their places in it.
type Named = Vec<(Name, Range<usize>)>;

/// Reads a text, each piece with its type. Returns the secrets it names with their places.
fn pieces(text: &str, secrets: Secrets) -> Result<(Pieces, Named), BadExpression> {
    let (mut pieces, mut named) = (Vec::new(), Vec::new());
    for part in split(text)? {
        match part {
            Raw::Literal(literal) if literal.is_empty() => {}
            Raw::Literal(literal) => pieces.push((Piece::Literal(literal), Type::Text)),
            Raw::Expression(source, at) => {
                let trimmed = source.trim_start();
                let at = at + source.len() - trimmed.len();
                // No expression: names have dashes and dots.
                let name = trimmed.trim_end().strip_prefix("secret.");
                let name = name.filter(|_| secrets == Secrets::Named).map(Name::parse);
                if let Some(Ok(name)) = name {
                    pieces.push((Piece::Secret(name.clone()), Type::Text));
                    named.push((name, at..at + trimmed.trim_end().len()));
                    continue;
                }
                let (expression, kind) = expression::parse(trimmed.trim_end(), Known::OfBuild)
                    .map_err(|bad| {
                        let place = bad.place.unwrap_or(0..trimmed.trim_end().len());
                        let place = Some(place.start + at..place.end + at);
                        BadExpression { place, ..bad }
                    })?;
                let piece = if let Expr::Field(path) = expression {
                    Piece::Field(path)
                } else {
                    Piece::Expression(expression)
                };
                pieces.push((piece, kind));
            }
        }
    }
    Ok((pieces, named))
}

/// Reads a text in which every expression is a text.
pub(crate) fn parse(text: &str) -> Result<Template, BadExpression> {
    whole(pieces(text, Secrets::Refused)?.0)
}

fn whole(pieces: Pieces) -> Result<Template, BadExpression> {
    for (piece, kind) in &pieces {
        let what = match piece {
            Piece::Field(path) => format!("`{path}`"),
            Piece::Literal(_) | Piece::Secret(_) | Piece::Expression(_) => {
                "an expression here".to_owned()
            }
        };
        let rest = match kind {
            Type::List(_) => "can only stand as a whole element",
            Type::Map | Type::Version => "cannot stand in a text",
            Type::Any
            | Type::Null
            | Type::Bool
            | Type::Int
            | Type::Float
            | Type::Text
            | Type::Duration => continue,
        };
        let (kind, message) = (Wrong::Type, format!("{what} is {kind}; it {rest}"));
        return Err(BadExpression { kind, message, near: None, place: None });
    }
    Ok(Template { pieces: pieces.into_iter().map(|(piece, _)| piece).collect() })
}

/// Reads an element of an argument vector.
fn argument(text: &str) -> Result<Argument, BadExpression> {
    let (mut pieces, _) = pieces(text, Secrets::Refused)?;
    let is_list = matches!(pieces.as_slice(), [(Piece::Expression(_), Type::List(_) | Type::Any)]);
    match pieces.as_slice() {
        [(Piece::Field(path), _)] => return Ok(Argument::Splice(path.clone())),
        [(Piece::Expression(_), _)] if is_list => {}
        _ => return whole(pieces).map(Argument::Template),
    }
    match pieces.pop() {
        Some((Piece::Expression(expression), _)) => Ok(Argument::SpliceAll(expression)),
        _ => Err(BadExpression::syntax()),
    }
}

/// Reports what is wrong with an expression in a text, at its place.
pub(crate) fn report(span: Span, text: &str, bad: &BadExpression, cx: &mut Context<'_>) {
    let code = match bad.kind {
        Wrong::Later => Code::NotYet,
        Wrong::Secret => Code::SecretElsewhere,
        Wrong::TooLarge | Wrong::Syntax | Wrong::Name | Wrong::Type => Code::BadTemplate,
    };
    let span = bad.place.clone().map_or(span, |place| cx.within(span, text, place));
    let problem = Diagnostic::new(code, span, bad.to_string());
    cx.report(match (bad.kind, &bad.near) {
        (_, Some(near)) => problem.label(format!("did you mean `{near}`?")),
        (Wrong::Later, None) => problem,
        (Wrong::Secret, None) => problem.help(
            "use the environment of the step: env = { TOKEN = \"${secret.token}\" }, and read \
             `TOKEN` in the program",
        ),
        (Wrong::TooLarge | Wrong::Syntax | Wrong::Name | Wrong::Type, None) => {
            problem.help(if text.contains("${") {
                "`$${` is a literal `${`; docs/CONFIGURATION.md has the expressions"
            } else {
                "docs/CONFIGURATION.md has the expressions"
            })
        }
    });
}

impl Decode for Template {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        parse(&text).inspect_err(|bad| report(node.span, &text, bad, cx)).ok()
    }
}

impl Decode for Argument {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        argument(&text).inspect_err(|bad| report(node.span, &text, bad, cx)).ok()
    }
}

/// Reports templates in the body of a script, where they would never be expanded.
pub fn check_script(body: &str, span: Span, cx: &mut Context<'_>) {
    for (at, _) in body.match_indices("${") {
        let inner = body[at + 2..].split('}').next().unwrap_or_default();
        let Some((root, _)) = inner.split_once('.') else { continue };
        if Root::from_word(root).is_some() || expression::is_other_root(root) {
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

    fn arguments(text: &str) -> Result<Vec<Vec<u8>>, RenderError> {
        let mut argv = Vec::new();
        argument(text).unwrap().render_into(&scope, &mut argv).map(|()| argv)
    }

    #[test]
    fn arguments_are_spliced_byte_for_byte() {
        assert_eq!(arguments("${args}").unwrap(), [b"a b".to_vec(), vec![0xff]]);
        assert_eq!(
            arguments("${args.map(a, a + '.o')}").unwrap(),
            [b"a b.o".to_vec(), vec![0xff, b'.', b'o']]
        );
        assert_eq!(arguments("${args.filter(a, a == 'no')}").unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(arguments("${args + [change.branch]}").unwrap().len(), 3);
        assert_eq!(arguments("${change.branch + '!'}").unwrap(), [b"main!".to_vec()]);
        assert_eq!(arguments("-j${1 + 1}").unwrap(), [b"-j2".to_vec()]);
    }

    #[test]
    fn an_expression_ends_at_its_own_bracket() {
        let render = |text| parse(text).unwrap().render(&scope);
        assert_eq!(render("${'}' + \"{\"}}"), Ok(b"}{}".to_vec()));
        assert_eq!(render("${ {'a': 'x'}['a'] }${'\\'}'}"), Ok(b"x'}".to_vec()));
        assert!(parse("${'}").is_err() && parse("${{}").is_err());
    }

    #[test]
    fn what_is_no_text_cannot_stand_in_one() {
        for text in ["x${args}", "x${args.map(a, a)}", "x${{'a': 1}}", "x${version('1')}"] {
            assert_eq!(parse(text).map_err(|bad| bad.kind), Err(Wrong::Type), "{text}");
        }
        assert!(argument("${{'a': 1}}").is_err() && argument("${version('1')}").is_err());
    }
}
