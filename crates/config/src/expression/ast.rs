//! Expressions as they are kept and evaluated. They are part of plans, so they can be stored.

use serde::{Deserialize, Serialize};

use super::function::Function;
use crate::template::FieldPath;
use crate::value::Value;

/// An expression whose names and types were checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Expr {
    Literal(Value),
    /// What a scope knows, such as `change.branch` or `prop.level`.
    Field(FieldPath),
    /// The element at hand of the `Each` around it.
    Variable(String),
    /// A field of a map.
    Select(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    /// Whether a field or key is there and not null.
    Has(Box<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Call(Function, Vec<Expr>),
    Each(Box<Each>),
}

/// A look at every element of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Each {
    pub what: Sought,
    pub list: Expr,
    pub variable: String,
    pub body: Expr,
}

/// What a look at every element is for. The words are CEL's macros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sought {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Sought {
    pub(super) const WORDS: [(&str, Self); 5] = [
        ("all", Self::All),
        ("exists", Self::Exists),
        ("exists_one", Self::ExistsOne),
        ("filter", Self::Filter),
        ("map", Self::Map),
    ];
}

/// What stands between two expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    And,
    Or,
    In,
    Compare(Comparison),
    Calculate(Arithmetic),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// CEL's names of the calls that operators are, with the signs people write.
    pub(super) const NAMES: [(&str, &str, Self); 14] = [
        ("_&&_", "&&", Self::And),
        ("_||_", "||", Self::Or),
        ("@in", "in", Self::In),
        ("_==_", "==", Self::Compare(Comparison::Equal)),
        ("_!=_", "!=", Self::Compare(Comparison::NotEqual)),
        ("_<_", "<", Self::Compare(Comparison::Less)),
        ("_<=_", "<=", Self::Compare(Comparison::LessOrEqual)),
        ("_>_", ">", Self::Compare(Comparison::Greater)),
        ("_>=_", ">=", Self::Compare(Comparison::GreaterOrEqual)),
        ("_+_", "+", Self::Calculate(Arithmetic::Add)),
        ("_-_", "-", Self::Calculate(Arithmetic::Subtract)),
        ("_*_", "*", Self::Calculate(Arithmetic::Multiply)),
        ("_/_", "/", Self::Calculate(Arithmetic::Divide)),
        ("_%_", "%", Self::Calculate(Arithmetic::Remainder)),
    ];

    /// Returns the sign that people write.
    pub(super) fn sign(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(_, _, operator)| *operator == self);
        known.map_or("", |(_, sign, _)| sign)
    }
}
