//! `${…}` and conditions are CEL: read by CEL's own parser, checked and evaluated by us.
//!
//! The parser overflows the stack on deep input, so size and nesting are bounded before it sees the
//! text. `check` turns what it read into an `Expr` and knows every name and type; `evaluate` counts
//! its steps, so no expression takes long, whatever the values are.

mod ast;
mod calculate;
mod cell;
mod check;
#[cfg(test)]
mod check_tests;
mod evaluate;
mod function;
#[cfg(test)]
mod tests;
mod types;
mod version;

use std::ops::Range;

pub use ast::{Arithmetic, Comparison, Each, Expr, Operator, Sought};
pub use function::Function;
pub(crate) use types::Type;

/// What is known where an expression is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Everything of a build; of its worker no more than the name, as that is all that stays.
    OfBuild,
    /// The same before it has a worker.
    BeforeWorker,
    /// Everything of a worker, before a build is given to it.
    OfWorker,
}

/// Longest expression, in bytes.
const SOURCE_BYTES: usize = 1024;
/// Deepest nesting of brackets and conditions. The parser takes 150 KB of stack for each, in a debug
/// build.
const DEPTH: usize = 6;
/// Most operators.
const OPERATORS: usize = 64;

/// Why an expression was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct BadExpression {
    pub(crate) kind: Wrong,
    pub(crate) message: String,
    /// What was probably meant.
    pub(crate) near: Option<String>,
    /// Where, in bytes of the expression; the whole of it where absent.
    pub(crate) place: Option<Range<usize>>,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    TooLarge,
    Syntax,
    Name,
    Type,
    /// It is of a later version.
    Later,
    /// It would make a secret a value like any other.
    Secret,
}

impl BadExpression {
    fn new(kind: Wrong, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), near: None, place: None }
    }

    fn at(mut self, place: Option<Range<usize>>) -> Self {
        self.place = self.place.or(place);
        self
    }

    pub(crate) fn syntax() -> Self {
        Self::new(Wrong::Syntax, "this is not an expression")
    }
}

/// Parses and checks one expression.
pub(crate) fn parse(source: &str, known: Known) -> Result<(Expr, Type), BadExpression> {
    bound(source)?;
    // Without macros: `all` and the like come as the calls that they are written as.
    let parser = cel::Env::default().parser().enable_optional_syntax(false);
    let parsed = parser
        .max_recursion_depth(32)
        .parse_with_source_info(source)
        .map_err(|_reasons| BadExpression::syntax())?;
    check::check(&parsed.0, &parsed.1, known)
}

/// Refuses what could hurt the parser, whatever it means.
fn bound(source: &str) -> Result<(), BadExpression> {
    let too_large = |message: String| Err(BadExpression::new(Wrong::TooLarge, message));
    if source.len() > SOURCE_BYTES {
        return too_large(format!("the expression is longer than {SOURCE_BYTES} bytes"));
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
        if depth > DEPTH {
            return too_large(format!("the expression nests deeper than {DEPTH} levels"));
        }
        if operators > OPERATORS {
            return too_large(format!("the expression has more than {OPERATORS} operators"));
        }
    }
    Ok(())
}

/// Says whether a word begins expressions of later versions, or the name of a secret.
pub(crate) fn is_other_root(word: &str) -> bool {
    check::LATER_ROOTS.contains(&word) || word == check::SECRET_ROOT
}
