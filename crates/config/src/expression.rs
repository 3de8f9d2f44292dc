//! `${…}` is CEL; this version takes field access only.
//!
//! The parser is CEL's own, so what is written today means the same later. It overflows the
//! stack on deep input, so size and nesting are bounded before it sees the text.

use cel::common::ast::Expr;
use cel::parser::Parser;

use crate::template::{FieldPath, Root};

/// Longest expression, in bytes.
const SOURCE_BYTES: usize = 1024;
/// Deepest nesting of brackets and conditions. The parser takes 150 KB of stack for each, in a debug
/// build.
const DEPTH: usize = 6;
/// Most operators.
const OPERATORS: usize = 64;

/// Roots and fields of later versions.
const LATER_ROOTS: &[&str] = &["param", "secret"];
const LATER_FIELDS: &[(Root, &str)] = &[(Root::Change, "image")];

/// Why an expression was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadExpression {
    #[error("the expression is longer than {SOURCE_BYTES} bytes")]
    TooLong,
    #[error("the expression nests deeper than {DEPTH} levels")]
    TooDeep,
    #[error("this is not an expression")]
    Syntax,
    #[error("only field access such as `change.branch` is in this version")]
    NotAField,
    #[error("there is nothing called `{root}` here; known are {}", Root::WORDS.join(", "))]
    UnknownRoot { root: String },
    #[error("`{root}` is not in this version")]
    LaterRoot { root: String },
    #[error("`{root}.{field}` is not in this version")]
    LaterField { root: &'static str, field: String },
    #[error("`{root}` has no field `{field}`; it has {known}")]
    UnknownField { root: &'static str, field: String, known: String },
}

/// Parses and checks one expression.
pub(crate) fn parse_field(source: &str) -> Result<FieldPath, BadExpression> {
    bound(source)?;
    let parsed = Parser::new()
        .max_recursion_depth(32)
        .parse(source)
        .map_err(|_reasons| BadExpression::Syntax)?;
    let mut segments = Vec::new();
    let mut rest = &parsed.expr;
    while let Expr::Select(select) = rest {
        if select.test {
            return Err(BadExpression::NotAField);
        }
        segments.push(select.field.clone());
        rest = &select.operand.expr;
    }
    let Expr::Ident(root) = rest else { return Err(BadExpression::NotAField) };
    segments.reverse();
    check(root, segments)
}

/// Refuses what could hurt the parser, whatever it means.
fn bound(source: &str) -> Result<(), BadExpression> {
    if source.len() > SOURCE_BYTES {
        return Err(BadExpression::TooLong);
    }
    let mut depth = 0usize;
    let mut operators = 0usize;
    for character in source.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            // Conditions nest to the right, with nothing that ends one.
            '?' => depth += 1,
            '!' | '-' | '+' | '*' | '/' | '%' | '&' | '|' | '<' | '>' | '=' => operators += 1,
            _ => {}
        }
        if depth > DEPTH || operators > OPERATORS {
            return Err(BadExpression::TooDeep);
        }
    }
    Ok(())
}

/// Says whether a word begins expressions of later versions.
pub(crate) fn is_later_root(word: &str) -> bool {
    LATER_ROOTS.contains(&word)
}

fn check(root: &str, fields: Vec<String>) -> Result<FieldPath, BadExpression> {
    if is_later_root(root) {
        return Err(BadExpression::LaterRoot { root: root.to_owned() });
    }
    let known = Root::from_word(root)
        .ok_or_else(|| BadExpression::UnknownRoot { root: root.to_owned() })?;
    let is_known = match (known.fields(), fields.as_slice()) {
        (None, []) => known == Root::Args,
        (None, [_]) => known == Root::Prop,
        (Some(names), [field]) => names.contains(&field.as_str()),
        (_, _) => false,
    };
    if !is_known && LATER_FIELDS.iter().any(|(root, field)| *root == known && fields == [*field]) {
        return Err(BadExpression::LaterField { root: known.word(), field: fields.join(".") });
    }
    if !is_known {
        return Err(BadExpression::UnknownField {
            root: known.word(),
            field: fields.join("."),
            known: known
                .fields()
                .map_or("no fields of that kind".to_owned(), |names| names.join(", ")),
        });
    }
    Ok(FieldPath { root: known, fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_the_rest_is_refused() {
        let path = parse_field("change.branch").unwrap();
        assert_eq!((path.root, path.fields), (Root::Change, vec!["branch".to_owned()]));
        assert_eq!(parse_field("args").unwrap().root, Root::Args);
        assert_eq!(parse_field("prop.answer").unwrap().root, Root::Prop);
        assert_eq!(parse_field("1 + 1"), Err(BadExpression::NotAField));
        assert_eq!(parse_field("change."), Err(BadExpression::Syntax));
        assert!(matches!(parse_field("chang.branch"), Err(BadExpression::UnknownRoot { .. })));
        assert!(matches!(parse_field("change.brunch"), Err(BadExpression::UnknownField { .. })));
        assert!(matches!(parse_field("secret.x"), Err(BadExpression::LaterRoot { .. })));
        assert!(matches!(parse_field("change.image"), Err(BadExpression::LaterField { .. })));
    }

    #[test]
    fn bombs_do_not_reach_the_parser() {
        assert_eq!(parse_field(&"(".repeat(900)), Err(BadExpression::TooDeep));
        assert_eq!(parse_field(&"!".repeat(900)), Err(BadExpression::TooDeep));
        assert_eq!(parse_field(&format!("{}c", "a?b:".repeat(7))), Err(BadExpression::TooDeep));
        assert_eq!(parse_field(&"(".repeat(7)), Err(BadExpression::TooDeep));
        assert_eq!(parse_field(&"a".repeat(2_000)), Err(BadExpression::TooLong));
        assert!(parse_field(&format!("a{}", ".a".repeat(500))).is_err());
    }
}
