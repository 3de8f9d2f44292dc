//! Values on their way through an expression: their weight, their words, their order.

use std::cmp::Ordering;

use super::ast::Comparison;
use super::version::Version;
use crate::template::RenderError;
use crate::value::Value;

/// A value on the way. What is not a value cannot leave an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Value(Value),
    Version(Version),
}

pub(super) fn failed(why: impl Into<String>) -> RenderError {
    RenderError::Failed(why.into())
}

pub(super) fn cost(cell: &Cell) -> usize {
    match cell {
        Cell::Value(value) => weight(value),
        Cell::Version(_) => 1,
    }
}

pub(super) fn weight(value: &Value) -> usize {
    match value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(|item| 1 + weight(item)).sum(),
        Value::Map(entries) => entries.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Duration(_) => 1,
    }
}

pub(super) fn shown(value: &Value) -> String {
    format!("`{:.64}`", value.to_string())
}

fn equal(left: &Cell, right: &Cell) -> bool {
    match (left, right) {
        (Cell::Value(left), Cell::Value(right)) if left == right => true,
        (left, right) => matches!(compare(left, right), Ok(Some(Ordering::Equal))),
    }
}

/// Returns the order of two; none where one of them is not a number, or not there.
#[expect(clippy::cast_precision_loss, reason = "CEL compares integers and doubles as doubles")]
fn compare(left: &Cell, right: &Cell) -> Result<Option<Ordering>, RenderError> {
    let (left, right) = match (left, right) {
        (Cell::Version(left), Cell::Version(right)) => return Ok(Some(left.cmp(right))),
        (Cell::Value(left), Cell::Value(right)) => (left, right),
        // What a probe or a step has found out is a text.
        (Cell::Version(left), Cell::Value(right @ (Value::Str(_) | Value::Int(_)))) => {
            return Ok(Some(left.cmp(&version(right)?)));
        }
        (Cell::Value(left @ (Value::Str(_) | Value::Int(_))), Cell::Version(right)) => {
            return Ok(Some(version(left)?.cmp(right)));
        }
        _ => return Err(failed("a version is compared with a version")),
    };
    Ok(match (left, right) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Float(right)) => (*left as f64).partial_cmp(right),
        (Value::Float(left), Value::Int(right)) => left.partial_cmp(&(*right as f64)),
        (Value::Duration(left), Value::Duration(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Str(_) | Value::Bytes(_), Value::Str(_) | Value::Bytes(_)) => {
            Some(left.to_bytes().cmp(&right.to_bytes()))
        }
        (left, right) => {
            let (left, right) = (shown(left), shown(right));
            return Err(failed(format!("{left} and {right} have no order")));
        }
    })
}

fn version(of: &Value) -> Result<Version, RenderError> {
    Version::parse(&of.to_string()).ok_or_else(|| failed(format!("{} is no version", shown(of))))
}

pub(super) fn holds(
    comparison: Comparison,
    left: &Cell,
    right: &Cell,
) -> Result<bool, RenderError> {
    let order =
        |is_so: fn(Ordering) -> bool| compare(left, right).map(|order| order.is_some_and(is_so));
    match comparison {
        Comparison::Equal => Ok(equal(left, right)),
        Comparison::NotEqual => Ok(!equal(left, right)),
        Comparison::Less => order(Ordering::is_lt),
        Comparison::LessOrEqual => order(Ordering::is_le),
        Comparison::Greater => order(Ordering::is_gt),
        Comparison::GreaterOrEqual => order(Ordering::is_ge),
    }
}

pub(super) fn is_in(left: &Cell, right: &Cell) -> Result<bool, RenderError> {
    match (left, right) {
        (_, Cell::Value(Value::List(items))) => {
            Ok(items.iter().any(|item| equal(left, &Cell::Value(item.clone()))))
        }
        (Cell::Value(Value::Str(key)), Cell::Value(Value::Map(entries))) => {
            Ok(entries.contains_key(key))
        }
        (_, Cell::Value(Value::Map(_))) => Ok(false),
        (_, _) => Err(failed("what stands behind `in` is a list or a map")),
    }
}
