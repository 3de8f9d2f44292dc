//! The TOML text as a tree in which every key and value knows its place.

use toml::de::{DeTable, DeValue};

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::source::{SourceFile, Span};

/// Deepest nesting of a configuration; deeper ones are refused before they are parsed.
const DEPTH: usize = 32;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub span: Span,
    pub kind: NodeKind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Array(Vec<Node>),
    Table(Table),
    DateTime,
}

/// A table, in the order of its keys.
pub type Table = Vec<Entry>;

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Node,
}

impl Node {
    /// Returns the text under a key of a table, if there is one.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        let NodeKind::Table(entries) = &self.kind else { return None };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        if let NodeKind::Text(text) = &entry.value.kind { Some(text) } else { None }
    }

    /// Returns what the value is, in words.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            NodeKind::Bool(_) => "a boolean",
            NodeKind::Integer(_) => "an integer",
            NodeKind::Float(_) => "a float",
            NodeKind::Text(_) => "a text",
            NodeKind::Array(_) => "a list",
            NodeKind::Table(_) => "a table",
            NodeKind::DateTime => "a date",
        }
    }
}

/// Parses all files and merges them: kinds are joined, names must differ. Returns what could be
/// read along with everything that could not.
pub fn parse(files: &[SourceFile]) -> (Node, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let mut merged = Table::new();
    for (file, source) in files.iter().enumerate() {
        for entry in parse_file(file, &source.text, &mut problems) {
            merge(&mut merged, entry, 0, &mut problems);
        }
    }
    (Node { span: Span::default(), kind: NodeKind::Table(merged) }, problems)
}

fn parse_file(file: usize, text: &str, problems: &mut Vec<Diagnostic>) -> Table {
    if let Some(at) = too_deep(text) {
        let span = Span { file, start: at, end: at + 1 };
        problems.push(Diagnostic::new(
            Code::Syntax,
            span,
            format!("nested deeper than {DEPTH} levels"),
        ));
        return Table::new();
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        let span = Span { file, start: range.start, end: range.end };
        problems.push(Diagnostic::new(Code::Syntax, span, error.message()));
    }
    to_table(file, table.get_ref(), problems)
}

/// Finds where brackets nest too deep, ignoring that some stand in strings: no configuration of
/// ours comes near the limit.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'\n' if depth <= 1 => depth = 0,
            _ => {}
        }
        if depth > DEPTH {
            return Some(at);
        }
    }
    None
}

fn to_table(file: usize, table: &DeTable<'_>, problems: &mut Vec<Diagnostic>) -> Table {
    let mut entries: Table = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: span(file, key.span()),
            value: to_node(file, value, problems),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span);
    entries
}

fn to_node(
    file: usize,
    value: &toml::Spanned<DeValue<'_>>,
    problems: &mut Vec<Diagnostic>,
) -> Node {
    let at = span(file, value.span());
    let kind = match value.get_ref() {
        DeValue::String(text) => NodeKind::Text(text.to_string()),
        DeValue::Boolean(fact) => NodeKind::Bool(*fact),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            if parsed.is_err() {
                problems.push(Diagnostic::new(Code::OutOfRange, at, "the integer is too large"));
            }
            NodeKind::Integer(parsed.unwrap_or_default())
        }
        DeValue::Float(number) => NodeKind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Datetime(_) => NodeKind::DateTime,
        DeValue::Array(items) => {
            NodeKind::Array(items.iter().map(|item| to_node(file, item, problems)).collect())
        }
        DeValue::Table(table) => NodeKind::Table(to_table(file, table, problems)),
    };
    Node { span: at, kind }
}

fn span(file: usize, range: std::ops::Range<usize>) -> Span {
    Span { file, start: range.start, end: range.end }
}

/// Adds an entry; the tables of a kind are joined over the files, one level deep.
fn merge(into: &mut Table, entry: Entry, depth: usize, problems: &mut Vec<Diagnostic>) {
    let Some(known) = into.iter_mut().find(|known| known.key == entry.key) else {
        into.push(entry);
        return;
    };
    match (&mut known.value.kind, entry.value.kind) {
        (NodeKind::Table(known), NodeKind::Table(more)) if depth == 0 => {
            for entry in more {
                merge(known, entry, depth + 1, problems);
            }
        }
        _ if depth == 0 && entry.key == "version" => {}
        _ => problems.push(
            Diagnostic::new(
                Code::Duplicate,
                entry.key_span,
                format!("`{}` is defined twice", entry.key),
            )
            .also(known.key_span, "first defined here"),
        ),
    }
}
