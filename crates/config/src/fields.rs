//! Decoding of tables: which keys were asked for, and what is left over.

use crate::code::Code;
use crate::context::{Context, nearest};
use crate::decode::{Decode, wrong_type};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::tree::{Entry, Node, NodeKind};

/// A cursor over the keys of a table. Every key is asked for once, then `finish` reports the
/// rest.
#[derive(Debug)]
pub struct Fields<'n> {
    entries: &'n [Entry],
    span: Span,
    asked: Vec<&'static str>,
    later: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Opens a table; reports anything else.
    pub fn of(node: &'n Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Table(entries) = &node.kind else {
            wrong_type(node, "a table", cx);
            return None;
        };
        Some(Self { entries, span: node.span, asked: Vec::new(), later: Vec::new() })
    }

    /// Names keys of later versions, so that they are not taken for typing errors.
    #[must_use]
    pub fn with_later(mut self, keys: &[&'static str]) -> Self {
        self.later.extend_from_slice(keys);
        self
    }

    /// Says whether the table has any of these keys of later versions: what else it says, or leaves
    /// out, is then for that version to judge.
    pub fn has_later(&self, keys: &[&'static str]) -> bool {
        debug_assert!(keys.iter().all(|key| self.later.contains(key)), "named by `with_later`");
        keys.iter().any(|key| self.has(key))
    }

    /// Returns the place of the table.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Returns the entry of a key as it stands.
    pub fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.asked.push(key);
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Returns the entry of a key of a later version, which is not among the keys of this one.
    pub fn peek(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Says whether the key is there, without asking for it.
    pub fn has(&self, key: &str) -> bool {
        self.peek(key).is_some()
    }

    /// Decodes a key that has to be there.
    pub fn required<T: Decode>(&mut self, key: &'static str, cx: &mut Context<'_>) -> Option<T> {
        match self.entry(key) {
            Some(entry) => T::decode(&entry.value, cx),
            None => {
                let message = format!("`{key}` is missing");
                cx.report(Diagnostic::new(Code::MissingKey, self.span, message));
                None
            }
        }
    }

    /// Decodes a key that has to be there, unless one of these keys of later versions is there in
    /// its place.
    pub fn required_unless<T: Decode>(
        &mut self,
        key: &'static str,
        later: &[&'static str],
        cx: &mut Context<'_>,
    ) -> Option<T> {
        if self.has_later(later) { self.optional(key, cx)? } else { self.required(key, cx) }
    }

    /// Decodes a key that may be absent. The outer option is `None` after a problem.
    pub fn optional<T: Decode>(
        &mut self,
        key: &'static str,
        cx: &mut Context<'_>,
    ) -> Option<Option<T>> {
        match self.entry(key) {
            Some(entry) => T::decode(&entry.value, cx).map(Some),
            None => Some(None),
        }
    }

    /// Decodes a key that has a default.
    pub fn or<T: Decode>(
        &mut self,
        key: &'static str,
        default: T,
        cx: &mut Context<'_>,
    ) -> Option<T> {
        self.optional(key, cx).map(|value| value.unwrap_or(default))
    }

    /// Reports keys nobody asked for.
    pub fn finish(self, cx: &mut Context<'_>) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.asked.contains(&key) {
                continue;
            }
            if self.later.contains(&key) {
                let message = format!("`{key}` is not in this version");
                cx.report(Diagnostic::new(Code::NotYet, entry.key_span, message));
                continue;
            }
            let mut problem =
                Diagnostic::new(Code::UnknownKey, entry.key_span, format!("unknown key `{key}`"));
            problem = match nearest(key, &self.asked) {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => problem.help(format!("keys here: {}", self.asked.join(", "))),
            };
            cx.report(problem);
        }
        cx.decoded(self.span, self.asked);
    }
}
