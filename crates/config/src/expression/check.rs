//! Turns what CEL's parser read into an expression, and checks every name and type on the way.

use std::ops::Range;

use cel::common::ast::{CallExpr, EntryExpr, Expr as Cel, IdedExpr, LiteralValue, SourceInfo};

use super::ast::{Arithmetic, Comparison, Each, Expr, Operator, Sought};
use super::function::Function;
use super::types::Type;
use super::version::Version;
use super::{BadExpression, Known, Wrong};
use crate::context::nearest;
use crate::duration::parse_duration;
use crate::filter;
use crate::template::{FieldPath, Root};
use crate::value::Value;

/// Most names, literals and calls.
const NODES: usize = 256;
/// Deepest nesting, of chains of calls and selections as well.
const DEPTH: usize = 72;

/// Roots and fields of later versions.
pub(super) const LATER_ROOTS: &[&str] = &["param"];
/// What is no root: the value of a secret is never computed with.
pub(super) const SECRET_ROOT: &str = "secret";
const LATER_FIELDS: &[(Root, &str)] = &[(Root::Change, "image")];
/// What a worker is known by where a build looks for one.
const WORKER_FIELDS: &[&str] = &["name", "labels", "os", "arch", "cpus", "memory", "probe"];

type Checked = Result<(Expr, Type), BadExpression>;

pub(super) fn check(parsed: &IdedExpr, info: &SourceInfo, known: Known) -> Checked {
    Checker { info, known, nodes: 0, depth: 0, variable: None }.read(parsed)
}

struct Checker<'a> {
    info: &'a SourceInfo,
    known: Known,
    nodes: usize,
    depth: usize,
    /// The element at hand, with its type.
    variable: Option<(String, Type)>,
}

fn name(message: impl Into<String>, near: Option<String>) -> BadExpression {
    BadExpression { near, ..BadExpression::new(Wrong::Name, message) }
}

fn wrong_type(message: impl Into<String>) -> BadExpression {
    BadExpression::new(Wrong::Type, message)
}

fn later(what: &str) -> BadExpression {
    BadExpression::new(Wrong::Later, format!("`{what}` is not in this version"))
}

impl Checker<'_> {
    fn place(&self, id: u64) -> Option<Range<usize>> {
        // Places are counted in characters.
        if !self.info.source.is_ascii() {
            return None;
        }
        let (start, last) = self.info.offset_for(id)?;
        let range = start as usize..last as usize + 1;
        (range.start < range.end && range.end <= self.info.source.len()).then_some(range)
    }

    fn read(&mut self, parsed: &IdedExpr) -> Checked {
        self.nodes += 1;
        self.depth += 1;
        if self.nodes > NODES || self.depth > DEPTH {
            let message = format!("the expression has more than {NODES} parts, or nests too deep");
            return Err(BadExpression::new(Wrong::TooLarge, message));
        }
        let read = self.read_one(&parsed.expr).map_err(|bad| bad.at(self.place(parsed.id)));
        self.depth -= 1;
        read
    }

    fn read_one(&mut self, expr: &Cel) -> Checked {
        match expr {
            Cel::Ident(word) => self.word(word),
            Cel::Select(select) if !select.test => self.select(&select.operand, &select.field),
            Cel::Literal(literal) => literal_of(literal),
            Cel::List(list) => self.list(&list.elements),
            Cel::Map(map) => {
                let entries = map.entries.iter().map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        let (key, kind) = self.read(&entry.key)?;
                        wants(&kind, &Type::Text, "a key")?;
                        Ok((key, self.read(&entry.value)?.0))
                    }
                    EntryExpr::StructField(_) => Err(BadExpression::syntax()),
                });
                Ok((Expr::Map(entries.collect::<Result<_, _>>()?), Type::Map))
            }
            Cel::Call(call) => self.call(call),
            Cel::Select(_) | Cel::Comprehension(_) | Cel::Struct(_) | Cel::Unspecified => {
                Err(BadExpression::syntax())
            }
        }
    }

    fn list(&mut self, elements: &[IdedExpr]) -> Checked {
        let mut items = Vec::new();
        let mut kind: Option<Type> = None;
        for element in elements {
            let (item, of_item) = self.read(element)?;
            kind = Some(kind.map_or(of_item.clone(), |kind| kind.join(&of_item)));
            items.push(item);
        }
        Ok((Expr::List(items), Type::list(kind.unwrap_or(Type::Any))))
    }

    /// A name that stands alone.
    fn word(&self, word: &str) -> Checked {
        if let Some((variable, kind)) = &self.variable
            && variable == word
        {
            return Ok((Expr::Variable(word.to_owned()), kind.clone()));
        }
        let root = root(word)?;
        if root == Root::Args {
            return self.field(root, Vec::new());
        }
        let fields = root.fields().map_or("NAME".to_owned(), |fields| fields.join(", "));
        Err(name(format!("`{word}` has fields: {fields}"), None))
    }

    fn is_root(&self, expr: &Cel) -> Option<String> {
        let Cel::Ident(word) = expr else { return None };
        let is_variable = self.variable.as_ref().is_some_and(|(variable, _)| variable == word);
        (!is_variable && word != Root::Args.word()).then(|| word.clone())
    }

    fn select(&mut self, operand: &IdedExpr, selected: &str) -> Checked {
        if let Some(word) = self.is_root(&operand.expr) {
            let root = root(&word).map_err(|bad| bad.at(self.place(operand.id)))?;
            let place = self.place(operand.id).and_then(|place| {
                // CEL's place is that of the dot.
                let end = place.end + 1 + selected.len();
                let is_it = self.info.source.get(place.end + 1..end) == Some(selected);
                is_it.then_some(place.start..end)
            });
            return self.field(root, vec![selected.to_owned()]).map_err(|bad| bad.at(place));
        }
        let (inner, kind) = self.read(operand)?;
        wants(&kind, &Type::Map, &format!("what has a `{selected}`"))?;
        Ok((Expr::Select(Box::new(inner), selected.to_owned()), Type::Any))
    }

    fn field(&self, root: Root, fields: Vec<String>) -> Checked {
        let word = root.word();
        if self.known == Known::OfWorker && root != Root::Worker {
            let known = WORKER_FIELDS.join(", ");
            let message =
                format!("`{word}` is not known before there is a worker; `worker` has {known}");
            return Err(name(message, None));
        }
        if self.known == Known::BeforeWorker && root == Root::Worker {
            let message = "`worker` is not known here: this is judged before there is one";
            return Err(name(message, None));
        }
        if let (Some(known), Some(field)) = (self.fields(root), fields.first())
            && !known.contains(&field.as_str())
        {
            return Err(no_field(root, field, known));
        }
        let path = FieldPath { root, fields };
        let kind = Type::of_field(&path);
        Ok((Expr::Field(path), kind))
    }

    fn fields(&self, root: Root) -> Option<&'static [&'static str]> {
        match (self.known, root) {
            (Known::OfWorker, Root::Worker) => Some(WORKER_FIELDS),
            (Known::OfWorker | Known::BeforeWorker | Known::OfBuild, _) => root.fields(),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Checked {
        let arguments: Vec<&IdedExpr> =
            call.target.as_deref().into_iter().chain(&call.args).collect();
        let named = |names: &(&str, &str, Operator)| names.0 == call.func_name;
        if let Some((_, _, operator)) = Operator::NAMES.iter().find(|names| named(names)) {
            return self.operator(*operator, &arguments);
        }
        match (call.func_name.as_str(), arguments.as_slice()) {
            ("!_", [one]) => {
                let (inner, kind) = self.read(one)?;
                wants(&kind, &Type::Bool, "what is negated")?;
                Ok((Expr::Not(Box::new(inner)), Type::Bool))
            }
            ("-_", [one]) => {
                let (inner, kind) = self.read(one)?;
                if !kind.is_number() {
                    return Err(wrong_type(format!("there is no negative of {kind}")));
                }
                Ok((Expr::Negate(Box::new(inner)), kind))
            }
            ("_?_:_", [condition, yes, no]) => self.condition(condition, yes, no),
            ("_[_]", [operand, index]) => self.index(operand, index),
            ("has", [one]) if call.target.is_none() => match self.read(one)? {
                (inner @ (Expr::Field(_) | Expr::Select(..) | Expr::Index(..)), _) => {
                    Ok((Expr::Has(Box::new(inner)), Type::Bool))
                }
                _ => Err(wrong_type("`has` asks for a field: has(prop.x)")),
            },
            (word, arguments) => {
                let sought = Sought::WORDS.iter().find(|(known, _)| *known == word);
                match (sought, arguments) {
                    (Some((_, what)), [list, variable, body]) if call.target.is_some() => {
                        self.each(*what, list, variable, body)
                    }
                    _ => self.function(word, arguments),
                }
            }
        }
    }

    fn condition(&mut self, condition: &IdedExpr, yes: &IdedExpr, no: &IdedExpr) -> Checked {
        let (condition, kind) = self.read(condition)?;
        wants(&kind, &Type::Bool, "what stands before `?`")?;
        let ((yes, of_yes), (no, of_no)) = (self.read(yes)?, self.read(no)?);
        let kind = of_yes.join(&of_no);
        Ok((Expr::If(Box::new(condition), Box::new(yes), Box::new(no)), kind))
    }

    fn index(&mut self, operand: &IdedExpr, index: &IdedExpr) -> Checked {
        if let Some(word) = self.is_root(&operand.expr)
            && root(&word)? == Root::Prop
        {
            return match self.read(index)? {
                (Expr::Literal(Value::Str(text)), _) => self.field(Root::Prop, vec![text]),
                _ => Err(wrong_type("the name of a property is a literal: prop[\"x\"]")),
            };
        }
        let ((inner, kind), (at, of_at)) = (self.read(operand)?, self.read(index)?);
        let element = if kind == Type::Map {
            wants(&of_at, &Type::Text, "a key")?;
            Type::Any
        } else {
            let element = element_of(kind.clone())?;
            if kind != Type::Any {
                wants(&of_at, &Type::Int, "a place in a list")?;
            }
            element
        };
        Ok((Expr::Index(Box::new(inner), Box::new(at)), element))
    }

    fn operator(&mut self, operator: Operator, arguments: &[&IdedExpr]) -> Checked {
        let [left, right] = arguments else { return Err(BadExpression::syntax()) };
        let ((left, of_left), (right, of_right)) = (self.read(left)?, self.read(right)?);
        let kind = result(operator, &of_left, &of_right).ok_or_else(|| {
            let sign = operator.sign();
            let wrong = wrong_type(format!("`{sign}` does not go with {of_left} and {of_right}"));
            let has_version = of_left == Type::Version || of_right == Type::Version;
            let near = has_version.then(|| format!("{sign} version(\"3.10\")"));
            BadExpression { near, ..wrong }
        })?;
        Ok((Expr::Binary(operator, Box::new(left), Box::new(right)), kind))
    }

    fn each(
        &mut self,
        what: Sought,
        list: &IdedExpr,
        variable: &IdedExpr,
        body: &IdedExpr,
    ) -> Checked {
        if self.variable.is_some() {
            return Err(wrong_type("looks at every element do not nest"));
        }
        let Cel::Ident(variable) = &variable.expr else {
            return Err(wrong_type("the first argument names the element: xs.all(x, x > 0)"));
        };
        let (list, kind) = self.read(list)?;
        let element = element_of(kind)?;
        self.variable = Some((variable.clone(), element.clone()));
        let read = self.read(body);
        self.variable = None;
        let (body, of_body) = read?;
        if what != Sought::Map {
            wants(&of_body, &Type::Bool, "what is asked of each element")?;
        }
        let kind = match what {
            Sought::All | Sought::Exists | Sought::ExistsOne => Type::Bool,
            Sought::Filter => Type::list(element),
            Sought::Map => Type::list(of_body),
        };
        let variable = variable.clone();
        Ok((Expr::Each(Box::new(Each { what, list, variable, body })), kind))
    }

    fn function(&mut self, word: &str, arguments: &[&IdedExpr]) -> Checked {
        let Some(function) = Function::from_word(word) else {
            let macros = Sought::WORDS.iter().map(|(word, _)| *word);
            let known: Vec<&str> = Function::WORDS.iter().copied().chain(macros).collect();
            let near = nearest(word, &known).map(str::to_owned);
            return Err(name(format!("there is no function `{word}`"), near));
        };
        let takes = function.takes();
        if takes.len() != arguments.len() {
            let message = format!("`{word}` takes {}, not {}", takes.len(), arguments.len());
            return Err(wrong_type(message));
        }
        let mut read = Vec::new();
        for (argument, wanted) in arguments.iter().zip(&takes) {
            let (argument, kind) = self.read(argument)?;
            wants(&kind, wanted, &format!("what `{word}` takes"))?;
            read.push(argument);
        }
        check_literals(function, &read)?;
        Ok((Expr::Call(function, read), function.gives()))
    }
}

/// What is written down can be looked at now.
fn check_literals(function: Function, arguments: &[Expr]) -> Result<(), BadExpression> {
    let literal = match arguments.last() {
        Some(Expr::Literal(Value::Str(text))) => Some(text.as_str()),
        Some(_) | None => None,
    };
    let is_no = |what: &str| Err(wrong_type(format!("this is no {what}")));
    match (function, literal) {
        (Function::Version, Some(text)) if Version::parse(text).is_none() => {
            is_no("version; versions look like \"3.10\"")
        }
        (Function::Duration, Some(text)) if parse_duration(text).is_none() => {
            is_no("duration; durations look like \"90s\", \"20m\", \"8h\"")
        }
        (Function::Matches, Some(text)) if filter::compile(text).is_err() => {
            is_no("regular expression")
        }
        (Function::Matches, None) => Err(wrong_type("a regular expression is a literal")),
        (_, _) => Ok(()),
    }
}

/// Returns the type of a list's elements.
fn element_of(kind: Type) -> Result<Type, BadExpression> {
    if let Type::List(element) = kind {
        return Ok(*element);
    }
    if kind == Type::Any {
        return Ok(kind);
    }
    Err(wrong_type(format!("{kind} has no elements")))
}

fn wants(kind: &Type, wanted: &Type, what: &str) -> Result<(), BadExpression> {
    if kind.fits(wanted) {
        return Ok(());
    }
    Err(wrong_type(format!("{what} is {wanted}, and this is {kind}")))
}

/// Returns what an operator gives; `None` where it does not go with these.
fn result(operator: Operator, left: &Type, right: &Type) -> Option<Type> {
    match operator {
        Operator::And | Operator::Or => {
            (left.fits(&Type::Bool) && right.fits(&Type::Bool)).then_some(Type::Bool)
        }
        Operator::Compare(Comparison::Equal | Comparison::NotEqual) => {
            left.may_equal(right).then_some(Type::Bool)
        }
        Operator::Compare(
            Comparison::Less
            | Comparison::LessOrEqual
            | Comparison::Greater
            | Comparison::GreaterOrEqual,
        ) => {
            let goes = left.fits(right) || (left.is_number() && right.is_number());
            (goes && left.is_ordered() && right.is_ordered()).then_some(Type::Bool)
        }
        Operator::In => match right {
            Type::List(element) => left.may_equal(element).then_some(Type::Bool),
            Type::Map | Type::Any => Some(Type::Bool),
            Type::Null
            | Type::Bool
            | Type::Int
            | Type::Float
            | Type::Text
            | Type::Duration
            | Type::Version => None,
        },
        Operator::Calculate(arithmetic) => {
            let is_sure = *left != Type::Any && *right != Type::Any;
            let known = if *left == Type::Any { right } else { left };
            let goes = left.fits(right) && has(known, arithmetic);
            goes.then(|| if is_sure { left.clone() } else { Type::Any })
        }
    }
}

/// Says whether there is such an arithmetic of a type.
fn has(kind: &Type, arithmetic: Arithmetic) -> bool {
    match kind {
        Type::Any | Type::Int => true,
        Type::Float => arithmetic != Arithmetic::Remainder,
        Type::Duration => matches!(arithmetic, Arithmetic::Add | Arithmetic::Subtract),
        Type::Text | Type::List(_) => arithmetic == Arithmetic::Add,
        Type::Null | Type::Bool | Type::Version | Type::Map => false,
    }
}

fn root(word: &str) -> Result<Root, BadExpression> {
    if LATER_ROOTS.contains(&word) {
        return Err(later(word));
    }
    if word == SECRET_ROOT {
        let message = "no expression sees a secret: a step's `env` alone may hold it, as \
            `${secret.NAME}` by itself or within a text";
        return Err(BadExpression::new(Wrong::Secret, message));
    }
    Root::from_word(word).ok_or_else(|| {
        let near = nearest(word, Root::WORDS).map(str::to_owned);
        let known = Root::WORDS.join(", ");
        name(format!("there is nothing called `{word}` here; known are {known}"), near)
    })
}

fn no_field(root: Root, field: &str, known: &[&str]) -> BadExpression {
    let word = root.word();
    if LATER_FIELDS.contains(&(root, field)) {
        return later(&format!("{word}.{field}"));
    }
    if root == Root::Worker && WORKER_FIELDS.contains(&field) {
        let message = format!("`worker.{field}` is for the `require` of a builder");
        return name(message, None);
    }
    let near = nearest(field, known).map(|near| format!("{word}.{near}"));
    let known = known.join(", ");
    name(format!("`{word}` has no field `{field}`; it has {known}"), near)
}

fn literal_of(literal: &LiteralValue) -> Checked {
    let value = match literal {
        LiteralValue::Boolean(fact) => Value::Bool(*fact.inner()),
        LiteralValue::Int(number) => Value::Int(*number.inner()),
        LiteralValue::UInt(number) => {
            let number = i64::try_from(*number.inner());
            Value::Int(number.map_err(|_large| wrong_type("the number is too large"))?)
        }
        LiteralValue::Double(number) => Value::Float(*number.inner()),
        LiteralValue::String(text) => Value::Str(text.inner().to_owned()),
        LiteralValue::Bytes(bytes) => Value::from_bytes(bytes.inner().to_vec()),
        LiteralValue::Null => Value::Null,
    };
    let kind = Type::of(&value);
    Ok((Expr::Literal(value), kind))
}
