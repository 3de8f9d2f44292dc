//! Which changes a scheduler takes.

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::context::{Context, nearest};
use crate::decode::{Decode, wrong_type};
use crate::diagnostic::Diagnostic;
use crate::tree::{Node, NodeKind};
use crate::value::Value;

/// What of a change is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Attribute {
    Branch,
    Category,
    Repository,
    Project,
    Codebase,
    Revision,
    Author,
    Comments,
    /// A list: one of them is enough.
    Files,
    Property(String),
}

impl Attribute {
    /// Those without a name of their own, with their keys.
    const KEYS: [(&str, Self); 9] = [
        ("branch", Self::Branch),
        ("category", Self::Category),
        ("repository", Self::Repository),
        ("project", Self::Project),
        ("codebase", Self::Codebase),
        ("revision", Self::Revision),
        ("author", Self::Author),
        ("comments", Self::Comments),
        ("files", Self::Files),
    ];
}

/// A condition on one attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Pattern {
    /// The value, or absence where the text is empty.
    Is(String),
    Any(Vec<Pattern>),
    Glob(String),
    Regex(CheckedRegex),
    Not(Box<Pattern>),
}

/// All conditions have to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeFilter {
    conditions: Vec<(Attribute, Pattern)>,
}

/// A regular expression known to compile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct CheckedRegex(#[serde(with = "regex_text")] regex_lite::Regex);

impl PartialEq for CheckedRegex {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for CheckedRegex {}

mod regex_text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        regex: &regex_lite::Regex,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(regex.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<regex_lite::Regex, D::Error> {
        super::compile(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// A compiled expression may take this much memory, in bytes.
const REGEX_BYTES: usize = 64 * 1024;
/// Patterns nest no deeper than this.
const DEPTH: usize = 8;

pub(crate) fn compile(text: &str) -> Result<regex_lite::Regex, regex_lite::Error> {
    regex_lite::RegexBuilder::new(text).size_limit(REGEX_BYTES).nest_limit(32).build()
}

impl ChangeFilter {
    /// Says whether a change passes; `attribute` returns `None` for what it does not have.
    pub fn matches(&self, attribute: &dyn Fn(&Attribute) -> Option<Value>) -> bool {
        self.conditions.iter().all(|(which, pattern)| match attribute(which) {
            Some(Value::List(items)) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                pattern.matches_one(&items)
            }
            value => pattern.matches(value.map(|value| value.to_string()).as_deref()),
        })
    }
}

impl Pattern {
    /// Says whether one of a list is what is sought; `not` asks for a list without any.
    fn matches_one(&self, items: &[String]) -> bool {
        match self {
            Self::Is(text) if text.is_empty() => items.is_empty(),
            Self::Any(patterns) => patterns.iter().any(|pattern| pattern.matches_one(items)),
            Self::Not(pattern) => !pattern.matches_one(items),
            Self::Is(_) | Self::Glob(_) | Self::Regex(_) => {
                items.iter().any(|item| self.matches(Some(item)))
            }
        }
    }

    fn matches(&self, value: Option<&str>) -> bool {
        match self {
            Self::Is(text) if text.is_empty() => value.is_none_or(str::is_empty),
            Self::Is(text) => value == Some(text),
            Self::Any(patterns) => patterns.iter().any(|pattern| pattern.matches(value)),
            Self::Glob(glob) => value.is_some_and(|value| glob_matches(glob, value)),
            Self::Regex(regex) => value.is_some_and(|value| regex.0.is_match(value)),
            Self::Not(pattern) => !pattern.matches(value),
        }
    }
}

/// Matches `*` (anything but `/`), `**` (anything) and `?` (one character but `/`), in time
/// proportional to the product of the lengths.
pub fn glob_matches(glob: &str, text: &str) -> bool {
    let glob: Vec<char> = glob.chars().collect();
    let mut reached = vec![false; glob.len() + 1];
    reached[0] = true;
    close(&glob, &mut reached);
    for character in text.chars() {
        let mut next = vec![false; glob.len() + 1];
        for (at, token) in glob.iter().enumerate().filter(|(at, _)| reached[*at]) {
            match token {
                '*' if is_double(&glob, at) || character != '/' => next[at] = true,
                '?' if character != '/' => next[at + 1] = true,
                literal if *literal == character && !matches!(literal, '*' | '?') => {
                    next[at + 1] = true;
                }
                _ => {}
            }
        }
        close(&glob, &mut next);
        reached = next;
    }
    reached[glob.len()]
}

/// A star may also match nothing.
fn close(glob: &[char], reached: &mut [bool]) {
    for at in 0..glob.len() {
        if reached[at] && glob[at] == '*' {
            reached[at + 1] = true;
        }
    }
}

fn is_double(glob: &[char], at: usize) -> bool {
    glob.get(at + 1) == Some(&'*') || (at > 0 && glob[at - 1] == '*')
}

impl Decode for ChangeFilter {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Table(entries) = &node.kind else {
            wrong_type(node, "a table of conditions", cx);
            return None;
        };
        let mut conditions = Vec::new();
        for entry in entries {
            if entry.key == "property" {
                conditions.extend(properties(&entry.value, cx).unwrap_or_default());
                continue;
            }
            let known = Attribute::KEYS.iter().find(|(key, _)| *key == entry.key);
            let Some((_, attribute)) = known else {
                let message = format!("a change has no `{}` to filter by", entry.key);
                let problem = Diagnostic::new(Code::UnknownKey, entry.key_span, message);
                let keys = Attribute::KEYS.map(|(key, _)| key);
                cx.report(match nearest(&entry.key, &keys) {
                    Some(near) => problem.label(format!("did you mean `{near}`?")),
                    None => problem.help(format!("there is: {}, property.NAME", keys.join(", "))),
                });
                continue;
            };
            if let Some(pattern) = pattern(&entry.value, 0, cx) {
                conditions.push((attribute.clone(), pattern));
            }
        }
        Some(Self { conditions })
    }
}

fn properties(node: &Node, cx: &mut Context<'_>) -> Option<Vec<(Attribute, Pattern)>> {
    let NodeKind::Table(entries) = &node.kind else {
        wrong_type(node, "a table: property.NAME = …", cx);
        return None;
    };
    let condition = |entry: &crate::tree::Entry| {
        Some((Attribute::Property(entry.key.clone()), pattern(&entry.value, 0, cx)?))
    };
    Some(entries.iter().filter_map(condition).collect())
}

fn pattern(node: &Node, depth: usize, cx: &mut Context<'_>) -> Option<Pattern> {
    if depth > DEPTH {
        cx.report(Diagnostic::new(Code::OutOfRange, node.span, "the condition nests too deep"));
        return None;
    }
    match &node.kind {
        NodeKind::Text(text) => Some(Pattern::Is(text.clone())),
        NodeKind::Array(items) => {
            let any: Vec<_> =
                items.iter().filter_map(|item| pattern(item, depth + 1, cx)).collect();
            Some(Pattern::Any(any))
        }
        NodeKind::Table(entries) => {
            let [entry] = entries.as_slice() else {
                wrong_type(node, "one of { glob = … }, { regex = … }, { not = … }", cx);
                return None;
            };
            match entry.key.as_str() {
                "glob" => String::decode(&entry.value, cx).map(Pattern::Glob),
                "not" => pattern(&entry.value, depth + 1, cx).map(|p| Pattern::Not(Box::new(p))),
                "regex" => regex(&entry.value, cx),
                other => {
                    let message = format!("unknown condition `{other}`");
                    let problem = Diagnostic::new(Code::UnknownKey, entry.key_span, message);
                    cx.report(problem.help("conditions: glob, regex, not"));
                    None
                }
            }
        }
        NodeKind::Bool(_) | NodeKind::Integer(_) | NodeKind::Float(_) | NodeKind::DateTime => {
            wrong_type(node, "a text, a list or a condition", cx);
            None
        }
    }
}

fn regex(node: &Node, cx: &mut Context<'_>) -> Option<Pattern> {
    let text = String::decode(node, cx)?;
    match compile(&text) {
        Ok(regex) => Some(Pattern::Regex(CheckedRegex(regex))),
        Err(bad) => {
            let message = format!("not a regular expression: {bad}");
            cx.report(Diagnostic::new(Code::OutOfRange, node.span, message));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_like_paths() {
        for (glob, text, matches) in [
            ("release/*", "release/1.0", true),
            ("release/*", "release/1/2", false),
            ("release/**", "release/1/2", true),
            ("*", "main", true),
            ("*", "a/b", false),
            ("v?.x", "v1.x", true),
            ("", "", true),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXbYY", false),
        ] {
            assert_eq!(glob_matches(glob, text), matches, "{glob} {text}");
        }
    }

    #[test]
    fn an_absent_value_is_matchable() {
        let filter = |pattern| ChangeFilter { conditions: vec![(Attribute::Branch, pattern)] };
        let absent = |_: &Attribute| None;
        assert!(filter(Pattern::Is(String::new())).matches(&absent));
        assert!(!filter(Pattern::Is("main".into())).matches(&absent));
        assert!(filter(Pattern::Not(Box::new(Pattern::Is("main".into())))).matches(&absent));
    }
}
