//! Reads configurations: a TOML tree with spans, decoded into checked values, with every problem
//! found in one run. Pure: text comes in, values and diagnostics go out.
//!
//! This crate is the toolkit; each kind of thing (a scheduler, a step, a change source) defines
//! its own struct where it lives and implements `Decode`.
//!
//! **Invariant**: no text makes it panic, recurse without bound, or stop at the first error.

mod choice;
mod code;
mod condition;
mod context;
mod decode;
mod diagnostic;
mod difference;
mod duration;
pub mod expression;
mod fields;
pub mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod name;
mod page;
mod registry;
mod render;
mod requirement;
mod setting;
mod size;
mod source;
pub mod template;
mod tree;
mod value;

pub use choice::choice;
pub use code::Code;
pub use condition::Condition;
pub use context::{Context, NameKind};
pub use decode::{AtLeastOne, Decode};
pub use diagnostic::{Diagnostic, Label, Severity};
pub use difference::{Difference, What, differences, is_same};
pub use duration::parse_duration;
pub use fields::Fields;
pub use name::{BadName, Name};
pub use page::{DecodedKeys, Defaults};
pub use registry::{Kind, by_type};
pub use render::{Style, render, to_json};
pub use requirement::{Requirement, Unmet};
pub use setting::{Path, Setting, settings, settings_element, settings_path, show};
pub use size::{Size, parse_size};
pub use source::{SourceFile, Span, Spanned};
pub use tree::{Entry, Node, NodeKind, Table, parse};
pub use value::Value;
