//! The functions of expressions: their words, and what they take and give.

use serde::{Deserialize, Serialize};

use super::types::Type;

/// Declares the functions with words, types of arguments and result.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $word:literal ($($argument:expr),*) -> $result:expr;)+) => {
        /// A function. As CEL has it, `f(x, y)` can be written `x.f(y)`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Function { $($(#[$doc])* $name),+ }

        impl Function {
            /// Every function's word.
            pub const WORDS: &[&str] = &[$($word),+];

            /// Reads a word.
            pub(super) fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$name),)+ _ => None }
            }

            /// Returns the word.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// Returns what it takes.
            pub(super) fn takes(self) -> Vec<Type> {
                match self { $(Self::$name => vec![$($argument),*]),+ }
            }

            /// Returns what it gives.
            pub(super) fn gives(self) -> Type {
                match self { $(Self::$name => $result),+ }
            }
        }
    };
}

functions! {
    /// Characters of a text, bytes, elements, keys.
    Size = "size"(Type::Any) -> Type::Int;
    Contains = "contains"(Type::Text, Type::Text) -> Type::Bool;
    StartsWith = "startsWith"(Type::Text, Type::Text) -> Type::Bool;
    EndsWith = "endsWith"(Type::Text, Type::Text) -> Type::Bool;
    /// The second is a regular expression, and a literal.
    Matches = "matches"(Type::Text, Type::Text) -> Type::Bool;
    Split = "split"(Type::Text, Type::Text) -> Type::list(Type::Text);
    Join = "join"(Type::list(Type::Any), Type::Text) -> Type::Text;
    ToInt = "int"(Type::Any) -> Type::Int;
    ToFloat = "double"(Type::Any) -> Type::Float;
    ToText = "string"(Type::Any) -> Type::Text;
    /// Such as `3.10`, which is more than `3.9`.
    Version = "version"(Type::Text) -> Type::Version;
    Duration = "duration"(Type::Text) -> Type::Duration;
    /// The integers from the first to before the second.
    Range = "range"(Type::Int, Type::Int) -> Type::list(Type::Int);
}
