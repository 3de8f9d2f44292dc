//! Evaluates checked expressions, within a number of steps.

use std::collections::BTreeMap;

use super::ast::{Each, Expr, Operator, Sought};
use super::calculate::{
    BYTES, ITEMS, calculate, element, join, negative, of_map, range, size, to_float, to_int,
};
use super::cell::{Cell, cost, failed, holds, is_in, shown, weight};
use super::function::Function;
use super::version::Version;
use crate::duration::parse_duration;
use crate::filter;
use crate::template::{FieldPath, RenderError, Scope};
use crate::value::Value;

/// Most steps of one evaluation. A step is a part of the expression, or 64 bytes or elements that it
/// makes or looks through.
const STEPS: usize = 100_000;
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
                let value = self.variable.clone();
                let value = value.ok_or_else(|| RenderError::Missing(name.clone()))?;
                self.step(weight(&value))?;
                Ok(value)
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
