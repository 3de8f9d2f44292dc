//! Evaluates checked expressions, within a number of steps.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::ast::{Arithmetic, Comparison, Each, Expr, Operator, Sought};
use super::function::Function;
use super::version::Version;
use crate::duration::parse_duration;
use crate::filter;
use crate::template::{FieldPath, RenderError, Scope};
use crate::value::Value;

/// Most steps of one evaluation. A step is a part of the expression, or 64 bytes or elements that it
/// makes or looks through.
const STEPS: usize = 100_000;
/// Longest list.
const ITEMS: usize = 10_000;
/// Longest text, in bytes: what an argument of a command may be.
const BYTES: usize = 128 * 1024;

/// A value on the way. What is not a value cannot leave an expression.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Value(Value),
    Version(Version),
}

type Evaluated = Result<Cell, RenderError>;

impl Expr {
    /// Returns what the expression is where it stands.
    ///
    /// # Errors
    /// When something it names is not there or of a type it does not go with, or when it takes too
    /// many steps.
    pub fn evaluate(&self, scope: Scope<'_>) -> Result<Value, RenderError> {
        let mut evaluation = Evaluation { scope, steps: 0, variable: None };
        match evaluation.cell(self)? {
            Cell::Value(value) => Ok(value),
            Cell::Version(_) => Err(failed("a version is only good for comparing")),
        }
    }
}

fn failed(why: impl Into<String>) -> RenderError {
    RenderError::Failed(why.into())
}

struct Evaluation<'s> {
    scope: Scope<'s>,
    steps: usize,
    variable: Option<Value>,
}

impl Evaluation<'_> {
    fn step(&mut self, cost: usize) -> Result<(), RenderError> {
        self.steps += 1 + cost / 64;
        if self.steps > STEPS { Err(RenderError::TooCostly) } else { Ok(()) }
    }

    fn cell(&mut self, expr: &Expr) -> Evaluated {
        self.step(0)?;
        if let Expr::Call(Function::Version, arguments) = expr {
            let text = self.text(arguments.first())?;
            let version = Version::parse(&text);
            let bad = || failed(format!("`{text:.64}` is no version"));
            return version.map(Cell::Version).ok_or_else(bad);
        }
        if let Expr::If(condition, yes, no) = expr {
            let is_so = self.fact(condition)?;
            return self.cell(if is_so { yes } else { no });
        }
        self.value_of(expr).map(Cell::Value)
    }

    fn value(&mut self, expr: &Expr) -> Result<Value, RenderError> {
        match self.cell(expr)? {
            Cell::Value(value) => Ok(value),
            Cell::Version(_) => Err(failed("a version is only good for comparing")),
        }
    }

    fn value_of(&mut self, expr: &Expr) -> Result<Value, RenderError> {
        match expr {
            Expr::Literal(value) => Ok(value.clone()),
            Expr::Field(path) => self.field(path),
            Expr::Variable(name) => {
                self.variable.clone().ok_or_else(|| RenderError::Missing(name.clone()))
            }
            Expr::Select(inner, field) => {
                let inner = self.value(inner)?;
                of_map(inner, field)
            }
            Expr::Index(inner, at) => {
                let (inner, at) = (self.value(inner)?, self.value(at)?);
                element(inner, &at)
            }
            Expr::Has(inner) => match self.value(inner) {
                Ok(value) => Ok(Value::Bool(value != Value::Null)),
                Err(RenderError::TooCostly) => Err(RenderError::TooCostly),
                Err(_) => Ok(Value::Bool(false)),
            },
            Expr::Not(inner) => Ok(Value::Bool(!self.fact(inner)?)),
            Expr::Negate(inner) => negative(&self.value(inner)?),
            Expr::Binary(operator, left, right) => self.binary(*operator, left, right),
            Expr::List(items) => {
                let items = items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?;
                Ok(Value::List(items))
            }
            Expr::Map(entries) => {
                let entry =
                    |(key, value): &(Expr, Expr)| Ok((self.text(Some(key))?, self.value(value)?));
                let entries: Result<BTreeMap<_, _>, RenderError> =
                    entries.iter().map(entry).collect();
                Ok(Value::Map(entries?))
            }
            Expr::Call(function, arguments) => self.call(*function, arguments),
            Expr::Each(each) => self.each(each),
            // `cell` takes them.
            Expr::If(..) => Err(failed("a condition without its place")),
        }
    }

    fn field(&mut self, path: &FieldPath) -> Result<Value, RenderError> {
        let value = (self.scope)(path).ok_or_else(|| RenderError::Missing(path.to_string()))?;
        self.step(weight(&value))?;
        Ok(value)
    }

    fn fact(&mut self, expr: &Expr) -> Result<bool, RenderError> {
        let value = self.value(expr)?;
        let Value::Bool(fact) = value else {
            return Err(failed(format!("{} is not true or false", shown(&value))));
        };
        Ok(fact)
    }

    fn text(&mut self, expr: Option<&Expr>) -> Result<String, RenderError> {
        let value = expr.map_or(Ok(Value::Null), |expr| self.value(expr))?;
        // Where a change has no branch, its branch contains nothing.
        if value == Value::Null {
            return Ok(String::new());
        }
        let Value::Str(text) = value else {
            return Err(failed(format!("{} is no text", shown(&value))));
        };
        Ok(text)
    }

    /// As CEL has it, what decides alone decides, whatever is wrong with the other side.
    fn logic(&mut self, decides: bool, left: &Expr, right: &Expr) -> Result<Value, RenderError> {
        let left = self.fact(left);
        if left == Ok(decides) || left == Err(RenderError::TooCostly) {
            return left.map(Value::Bool);
        }
        let right = self.fact(right);
        if right == Ok(decides) || right == Err(RenderError::TooCostly) {
            return right.map(Value::Bool);
        }
        left.and(right).map(Value::Bool)
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: &Expr,
        right: &Expr,
    ) -> Result<Value, RenderError> {
        let comparison = match operator {
            Operator::And => return self.logic(false, left, right),
            Operator::Or => return self.logic(true, left, right),
            Operator::Calculate(arithmetic) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.step(weight(&left) + weight(&right))?;
                return calculate(arithmetic, left, right);
            }
            Operator::In => None,
            Operator::Compare(comparison) => Some(comparison),
        };
        let (left, right) = (self.cell(left)?, self.cell(right)?);
        self.step(cost(&left) + cost(&right))?;
        let holds = match comparison {
            Some(comparison) => holds(comparison, &left, &right)?,
            None => is_in(&left, &right)?,
        };
        Ok(Value::Bool(holds))
    }

    fn each(&mut self, each: &Each) -> Result<Value, RenderError> {
        let list = self.value(&each.list)?;
        let Value::List(items) = list else {
            return Err(failed(format!("{} is no list", shown(&list))));
        };
        if items.len() > ITEMS {
            return Err(failed(format!("a list has more than {ITEMS} elements")));
        }
        let mut found = 0usize;
        let mut kept = Vec::new();
        let mut bytes = 0usize;
        let total = items.len();
        for item in items {
            self.variable = Some(item.clone());
            if each.what == Sought::Map {
                let made = self.value(&each.body)?;
                bytes += weight(&made);
                self.step(weight(&made))?;
                kept.push(made);
            } else if self.fact(&each.body)? {
                found += 1;
                kept.push(item);
            }
            if bytes > BYTES {
                return Err(failed(format!("a list of more than {BYTES} bytes")));
            }
        }
        self.variable = None;
        Ok(match each.what {
            Sought::All => Value::Bool(found == total),
            Sought::Exists => Value::Bool(found > 0),
            Sought::ExistsOne => Value::Bool(found == 1),
            Sought::Filter | Sought::Map => Value::List(kept),
        })
    }

    fn call(&mut self, function: Function, arguments: &[Expr]) -> Result<Value, RenderError> {
        let (first, second) = (arguments.first(), arguments.get(1));
        match function {
            Function::Contains => {
                let (text, other) = self.texts(first, second)?;
                Ok(Value::Bool(text.contains(&other)))
            }
            Function::StartsWith => {
                let (text, other) = self.texts(first, second)?;
                Ok(Value::Bool(text.starts_with(&other)))
            }
            Function::EndsWith => {
                let (text, other) = self.texts(first, second)?;
                Ok(Value::Bool(text.ends_with(&other)))
            }
            Function::Matches => {
                let (text, other) = self.texts(first, second)?;
                self.step(text.len().saturating_mul(other.len()))?;
                let is_match = filter::compile(&other).is_ok_and(|regex| regex.is_match(&text));
                Ok(Value::Bool(is_match))
            }
            Function::Split => {
                let (text, other) = self.texts(first, second)?;
                let parts: Vec<_> = text
                    .split(&other)
                    .take(ITEMS + 1)
                    .map(|part| Value::Str(part.to_owned()))
                    .collect();
                if parts.len() > ITEMS {
                    return Err(failed(format!("more than {ITEMS} parts")));
                }
                Ok(Value::List(parts))
            }
            Function::Duration => {
                let text = self.text(first)?;
                let bad = || failed(format!("`{text:.64}` is no duration"));
                parse_duration(&text).map(Value::Duration).ok_or_else(bad)
            }
            Function::Join => {
                let (list, between) = (self.one(first)?, self.text(second)?);
                join(list, &between)
            }
            Function::Range => range(&self.one(first)?, &self.one(second)?),
            Function::Size => size(&self.one(first)?),
            Function::ToInt => to_int(&self.one(first)?),
            Function::ToFloat => to_float(&self.one(first)?),
            Function::ToText => {
                let value = self.one(first)?;
                let text = value.to_bytes().map(Value::from_bytes);
                text.ok_or_else(|| failed(format!("{} is no text", shown(&value))))
            }
            // `cell` takes it.
            Function::Version => Err(failed("a version is only good for comparing")),
        }
    }

    fn texts(
        &mut self,
        first: Option<&Expr>,
        second: Option<&Expr>,
    ) -> Result<(String, String), RenderError> {
        let texts = (self.text(first)?, self.text(second)?);
        self.step(texts.0.len())?;
        Ok(texts)
    }

    fn one(&mut self, expr: Option<&Expr>) -> Result<Value, RenderError> {
        let value = expr.map_or(Ok(Value::Null), |expr| self.value(expr))?;
        self.step(weight(&value))?;
        Ok(value)
    }
}

fn too_large() -> RenderError {
    failed("a number becomes too large")
}

fn shown(value: &Value) -> String {
    format!("`{:.64}`", value.to_string())
}

fn cost(cell: &Cell) -> usize {
    match cell {
        Cell::Value(value) => weight(value),
        Cell::Version(_) => 1,
    }
}

fn weight(value: &Value) -> usize {
    match value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(|item| 1 + weight(item)).sum(),
        Value::Map(entries) => entries.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Duration(_) => 1,
    }
}

fn negative(value: &Value) -> Result<Value, RenderError> {
    if let Value::Int(number) = value {
        return number.checked_neg().map(Value::Int).ok_or_else(too_large);
    }
    let Value::Float(number) = value else {
        return Err(failed(format!("there is no negative of {}", shown(value))));
    };
    Ok(Value::Float(-number))
}

fn of_map(inner: Value, field: &str) -> Result<Value, RenderError> {
    let Value::Map(mut entries) = inner else {
        return Err(failed(format!("{} has no `{field}`", shown(&inner))));
    };
    entries.remove(field).ok_or_else(|| RenderError::Missing(field.to_owned()))
}

fn element(inner: Value, at: &Value) -> Result<Value, RenderError> {
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

fn holds(comparison: Comparison, left: &Cell, right: &Cell) -> Result<bool, RenderError> {
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

fn is_in(left: &Cell, right: &Cell) -> Result<bool, RenderError> {
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

fn calculate(arithmetic: Arithmetic, left: Value, right: Value) -> Result<Value, RenderError> {
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

fn join(list: Value, between: &str) -> Result<Value, RenderError> {
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

fn range(first: &Value, end: &Value) -> Result<Value, RenderError> {
    let (Value::Int(first), Value::Int(end)) = (first, end) else {
        return Err(failed("`range` is for integers"));
    };
    let length = end.checked_sub(*first).ok_or_else(too_large)?;
    if usize::try_from(length).unwrap_or(0) > ITEMS {
        return Err(failed(format!("a list of more than {ITEMS} elements")));
    }
    Ok(Value::List((*first..*end).map(Value::Int).collect()))
}

fn size(value: &Value) -> Result<Value, RenderError> {
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

fn to_int(value: &Value) -> Result<Value, RenderError> {
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
fn to_float(value: &Value) -> Result<Value, RenderError> {
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
