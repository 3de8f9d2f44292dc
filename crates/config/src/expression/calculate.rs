//! What operators and functions make of values.

use super::ast::{Arithmetic, Operator};
use super::cell::{failed, shown};
use crate::template::RenderError;
use crate::value::Value;

/// Longest list.
pub(super) const ITEMS: usize = 10_000;
/// Longest text, in bytes: what an argument of a command may be.
pub(super) const BYTES: usize = 128 * 1024;

fn too_large() -> RenderError {
    failed("a number becomes too large")
}

pub(super) fn negative(value: &Value) -> Result<Value, RenderError> {
    if let Value::Int(number) = value {
        return number.checked_neg().map(Value::Int).ok_or_else(too_large);
    }
    let Value::Float(number) = value else {
        return Err(failed(format!("there is no negative of {}", shown(value))));
    };
    Ok(Value::Float(-number))
}

pub(super) fn of_map(inner: Value, field: &str) -> Result<Value, RenderError> {
    let Value::Map(mut entries) = inner else {
        return Err(failed(format!("{} has no `{field}`", shown(&inner))));
    };
    entries.remove(field).ok_or_else(|| RenderError::Missing(field.to_owned()))
}

pub(super) fn element(inner: Value, at: &Value) -> Result<Value, RenderError> {
    match (inner, at) {
        (Value::List(mut items), Value::Int(at)) => {
            let place = usize::try_from(*at).ok().filter(|place| *place < items.len());
            let missing = || failed(format!("a list of {} has no element {at}", items.len()));
            Ok(items.swap_remove(place.ok_or_else(missing)?))
        }
        (map @ Value::Map(_), Value::Str(key)) => of_map(map, key),
        (inner, at) => Err(failed(format!("{} has no element {}", shown(&inner), shown(at)))),
    }
}

pub(super) fn calculate(
    arithmetic: Arithmetic,
    left: Value,
    right: Value,
) -> Result<Value, RenderError> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => {
            let divides = matches!(arithmetic, Arithmetic::Divide | Arithmetic::Remainder);
            if divides && right == 0 {
                return Err(failed("a division by zero"));
            }
            let made = match arithmetic {
                Arithmetic::Add => left.checked_add(right),
                Arithmetic::Subtract => left.checked_sub(right),
                Arithmetic::Multiply => left.checked_mul(right),
                Arithmetic::Divide => left.checked_div(right),
                Arithmetic::Remainder => left.checked_rem(right),
            };
            made.map(Value::Int).ok_or_else(too_large)
        }
        (Value::Float(left), Value::Float(right)) => {
            let made = match arithmetic {
                Arithmetic::Add => left + right,
                Arithmetic::Subtract => left - right,
                Arithmetic::Multiply => left * right,
                Arithmetic::Divide => left / right,
                Arithmetic::Remainder => return Err(failed("`%` is for integers")),
            };
            // Rows are compared with what they were written from, and what is no number equals
            // nothing.
            if made.is_finite() { Ok(Value::Float(made)) } else { Err(too_large()) }
        }
        (Value::Duration(left), Value::Duration(right)) => {
            let made = match arithmetic {
                Arithmetic::Add => left.checked_add(right),
                Arithmetic::Subtract => left.checked_sub(right),
                Arithmetic::Multiply | Arithmetic::Divide | Arithmetic::Remainder => None,
            };
            made.map(Value::Duration).ok_or_else(|| failed("a duration that there is not"))
        }
        (Value::List(mut left), Value::List(right)) if arithmetic == Arithmetic::Add => {
            left.extend(right);
            if left.len() > ITEMS {
                return Err(failed(format!("a list of more than {ITEMS} elements")));
            }
            Ok(Value::List(left))
        }
        (left @ (Value::Str(_) | Value::Bytes(_)), right @ (Value::Str(_) | Value::Bytes(_)))
            if arithmetic == Arithmetic::Add =>
        {
            let (left, right) = (left.to_bytes(), right.to_bytes());
            let made = [left.unwrap_or_default(), right.unwrap_or_default()].concat();
            if made.len() > BYTES {
                return Err(failed(format!("a text of more than {BYTES} bytes")));
            }
            Ok(Value::from_bytes(made))
        }
        (left, right) => {
            let (sign, left, right) =
                (Operator::Calculate(arithmetic).sign(), shown(&left), shown(&right));
            Err(failed(format!("`{sign}` does not go with {left} and {right}")))
        }
    }
}

pub(super) fn join(list: Value, between: &str) -> Result<Value, RenderError> {
    let Value::List(items) = list else { return Err(failed("`join` is for lists")) };
    let mut made = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            made.extend_from_slice(between.as_bytes());
        }
        let bytes = item.to_bytes().ok_or_else(|| failed(format!("{} is no text", shown(item))))?;
        made.extend(bytes);
        if made.len() > BYTES {
            return Err(failed(format!("a text of more than {BYTES} bytes")));
        }
    }
    Ok(Value::from_bytes(made))
}

pub(super) fn range(first: &Value, end: &Value) -> Result<Value, RenderError> {
    let (Value::Int(first), Value::Int(end)) = (first, end) else {
        return Err(failed("`range` is for integers"));
    };
    let length = end.checked_sub(*first).ok_or_else(too_large)?;
    if usize::try_from(length).unwrap_or(0) > ITEMS {
        return Err(failed(format!("a list of more than {ITEMS} elements")));
    }
    Ok(Value::List((*first..*end).map(Value::Int).collect()))
}

pub(super) fn size(value: &Value) -> Result<Value, RenderError> {
    let size = match value {
        Value::Str(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        Value::Null => 0,
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Duration(_) => {
            return Err(failed(format!("{} has no size", shown(value))));
        }
    };
    i64::try_from(size).map(Value::Int).map_err(|_large| too_large())
}

pub(super) fn to_int(value: &Value) -> Result<Value, RenderError> {
    let bad = || failed(format!("{} is no integer", shown(value)));
    match value {
        Value::Int(number) => Ok(Value::Int(*number)),
        // As CEL has it, towards zero.
        Value::Float(number) => {
            let text = format!("{:.0}", number.trunc());
            text.parse().map(Value::Int).map_err(|_bad| bad())
        }
        Value::Str(text) => text.trim().parse().map(Value::Int).map_err(|_bad| bad()),
        Value::Null
        | Value::Bool(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Duration(_) => Err(bad()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "that is what was asked for")]
pub(super) fn to_float(value: &Value) -> Result<Value, RenderError> {
    let number = match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Str(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        Value::Null
        | Value::Bool(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Duration(_) => None,
    };
    number.map(Value::Float).ok_or_else(|| failed(format!("{} is no number", shown(value))))
}
