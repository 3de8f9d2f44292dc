//! `when = "…"`: an expression that is true or false.

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::decode::Decode;
use crate::expression::{self, BadExpression, Expr, Known, Type, Wrong};
use crate::template::{self, RenderError, Scope};
use crate::tree::Node;
use crate::value::Value;

/// A condition whose names and types were checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    text: String,
    expression: Expr,
}

impl Condition {
    /// Returns the condition as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads a condition that is judged before there is a worker.
    pub fn decode_early(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        decode(node, Known::BeforeWorker, cx)
    }

    /// Says whether it holds.
    ///
    /// # Errors
    /// When something it names is not there, or it is neither true nor false.
    pub fn holds(&self, scope: Scope<'_>) -> Result<bool, RenderError> {
        let value = self.expression.evaluate(scope)?;
        let Value::Bool(holds) = value else {
            let shown = format!("{:.64}", value.to_string());
            return Err(RenderError::Failed(format!("it is `{shown}`, not true or false")));
        };
        Ok(holds)
    }
}

/// Reads a condition.
pub(crate) fn parse(text: &str, known: Known) -> Result<Condition, BadExpression> {
    let (expression, kind) = expression::parse(text, known)?;
    if !kind.fits(&Type::Bool) {
        let message = format!("a condition is true or false, and this is {kind}");
        let kind = Wrong::Type;
        return Err(BadExpression { kind, message, near: None, place: None });
    }
    Ok(Condition { text: text.to_owned(), expression })
}

impl Decode for Condition {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        decode(node, Known::OfBuild, cx)
    }
}

fn decode(node: &Node, known: Known, cx: &mut Context<'_>) -> Option<Condition> {
    let text = String::decode(node, cx)?;
    let parsed = parse(&text, known);
    parsed.inspect_err(|bad| template::report(node.span, &text, bad, cx)).ok()
}
