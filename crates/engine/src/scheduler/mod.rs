//! Schedulers: which builders a change concerns, and when.
//!
//! A kind answers two questions about a change: is it mine, and in which lane does it wait for
//! its stable timer. To add one: its file with a struct and its `KIND`, a variant of
//! `SchedulerKind`, and a line in `KINDS`.

mod any_branch;
mod cancelling;
mod importance;
mod single_branch;

use std::collections::BTreeMap;
use std::time::Duration;

use config::filter::ChangeFilter;
use config::{Context, Decode as _, Fields, Kind, Name, Node, Spanned, Value};

pub use any_branch::AnyBranch;
pub use cancelling::Cancelling;
pub use importance::Importance;
pub(crate) use importance::Weight;
pub use single_branch::SingleBranch;

use crate::row::Change;
use crate::{priority, property, reference, settings, subject};

/// One scheduler of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduler {
    pub name: Name,
    pub change_source: Name,
    pub filter: ChangeFilter,
    pub importance: Importance,
    /// How long no further change may come before it fires; fires at once where absent.
    pub stable_timer: Option<Duration>,
    pub builders: Vec<Name>,
    /// Of its requests; higher is served first.
    pub priority: i32,
    pub cancelling: Cancelling,
    /// What the builds it asks for know.
    pub properties: BTreeMap<String, Value>,
    pub kind: SchedulerKind,
}

/// How a scheduler keeps changes apart.
#[derive(Debug, Clone, PartialEq)]
pub enum SchedulerKind {
    AnyBranch(AnyBranch),
    SingleBranch(SingleBranch),
}

/// The kinds of schedulers, and those of later versions.
const KINDS: &[Kind<Shape>] = &[any_branch::KIND, single_branch::KIND];
const LATER: &[&str] =
    &["nightly", "periodic", "dependent", "force", "graph", "triggerable", "try"];

/// A scheduler as its table has it; the table's key gives the name.
pub(crate) struct Shape {
    change_source: Name,
    filter: ChangeFilter,
    importance: Importance,
    stable_timer: Option<Duration>,
    builders: Vec<Name>,
    priority: i32,
    cancelling: Cancelling,
    properties: BTreeMap<String, Value>,
    kind: SchedulerKind,
}

impl Scheduler {
    /// Reads the table of a scheduler.
    pub fn decode(name: &Name, node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let shape = config::by_type(node, KINDS, LATER, cx)?;
        let name = name.clone();
        Some(Self {
            name,
            change_source: shape.change_source,
            filter: shape.filter,
            importance: shape.importance,
            stable_timer: shape.stable_timer,
            builders: shape.builders,
            priority: shape.priority,
            cancelling: shape.cancelling,
            properties: shape.properties,
            kind: shape.kind,
        })
    }

    /// Returns the lane in which the change waits, or `None` where it is not for this scheduler.
    pub(crate) fn lane(&self, change: &Change) -> Option<String> {
        if change.source != self.change_source {
            return None;
        }
        if !self.filter.matches(&|attribute| subject::attribute(change, attribute)) {
            return None;
        }
        match &self.kind {
            SchedulerKind::AnyBranch(kind) => Some(kind.lane(change)),
            SchedulerKind::SingleBranch(kind) => kind.lane(change),
        }
    }
}

/// Reads a table of a kind that waits for changes; `own` reads the keys of the kind.
fn decode_shape(
    node: &Node,
    cx: &mut Context<'_>,
    own: fn(&mut Fields<'_>, &mut Context<'_>) -> Option<SchedulerKind>,
) -> Option<Shape> {
    let mut fields = Fields::of(node, cx)?.with_later(&["when", "parameters", "was"]);
    fields.entry("type");
    let source: Option<Spanned<Name>> = fields.required("change_source", cx);
    if let Some(source) = &source {
        cx.refer(reference::CHANGE_SOURCE, source.clone());
    }
    let filter = match fields.entry("filter") {
        Some(entry) => ChangeFilter::decode(&entry.value, cx),
        None => Some(ChangeFilter::default()),
    };
    let importance = Importance::decode(&mut fields, cx);
    let stable_timer = fields.optional("stable_timer", cx);
    let builders = settings::references(&mut fields, "builders", reference::BUILDER, cx);
    let priority = priority::decode(&mut fields, cx);
    let cancelling = Cancelling::decode(&mut fields, cx);
    let properties = property::table(&mut fields, "properties", cx);
    let kind = own(&mut fields, cx);
    fields.finish(cx);
    Some(Shape {
        change_source: source?.value,
        filter: filter?,
        importance: importance?,
        stable_timer: stable_timer?,
        builders: builders?,
        priority: priority?,
        cancelling: cancelling?,
        properties: properties?,
        kind: kind?,
    })
}
