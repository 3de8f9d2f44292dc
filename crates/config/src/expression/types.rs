//! The types of expressions, as far as they are known when a configuration is read.

use std::fmt;

use crate::template::{FieldPath, Root};
use crate::value::Value;

/// What an expression is going to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    /// Not known before it is evaluated: properties may be anything.
    Any,
    Null,
    Bool,
    Int,
    Float,
    /// Bytes as well, where something outside is not UTF-8; null where a change lacks it.
    Text,
    Duration,
    Version,
    List(Box<Type>),
    Map,
}

impl Type {
    pub(crate) fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    /// Returns the type of a value.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Float(_) => Self::Float,
            Value::Str(_) | Value::Bytes(_) => Self::Text,
            Value::List(_) => Self::list(Self::Any),
            Value::Map(_) => Self::Map,
            Value::Duration(_) => Self::Duration,
        }
    }

    /// Returns the type of what a scope knows.
    pub(super) fn of_field(path: &FieldPath) -> Self {
        match (path.root, path.fields.first().map(String::as_str)) {
            (Root::Args, _) | (Root::Change, Some("files")) => Self::list(Self::Text),
            (Root::Prop, _) => Self::Any,
            (Root::Change, Some("id" | "when"))
            | (Root::Build, Some("number"))
            | (Root::User, Some("uid" | "gid"))
            | (Root::Worker, Some("cpus" | "memory")) => Self::Int,
            (Root::Worker, Some("labels")) => Self::list(Self::Text),
            (Root::Worker, Some("probe")) => Self::Map,
            (Root::Change | Root::Revision | Root::User | Root::Worker | Root::Build, _) => {
                Self::Text
            }
        }
    }

    /// Says whether a value of this type may stand where another one is wanted.
    pub(crate) fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(one), Self::List(other)) => one.fits(other),
            (one, other) => one == other,
        }
    }

    /// Says whether values of the two can be equal.
    pub(super) fn may_equal(&self, other: &Self) -> bool {
        let is_null = *self == Self::Null || *other == Self::Null;
        is_null || self.fits(other) || (self.is_number() && other.is_number())
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Any | Self::Int | Self::Float)
    }

    /// Says whether values have an order.
    pub(super) fn is_ordered(&self) -> bool {
        matches!(
            self,
            Self::Any | Self::Int | Self::Float | Self::Text | Self::Duration | Self::Version
        )
    }

    /// Returns what both are; anything where they differ.
    pub(super) fn join(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Any }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "a value",
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Int => "an integer",
            Self::Float => "a number",
            Self::Text => "a text",
            Self::Duration => "a duration",
            Self::Version => "a version",
            Self::List(_) => "a list",
            Self::Map => "a map",
        })
    }
}
