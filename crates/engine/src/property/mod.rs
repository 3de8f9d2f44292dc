//! Properties: named values that a build knows, each with where it is from.
//!
//! They are not copied together: each stays with the row or the plan it came by, and a name is looked
//! up where it is asked for.
//!
//! **Invariants**
//! - `Source::rank` is the only order of precedence.
//! - `user` and `owner` are who the kernel or a token says. Nothing else gives them a value.

mod decode;
mod json;
mod left;

use std::collections::BTreeMap;
use std::fmt;

use config::{Name, Value};
use serde::{Deserialize, Serialize};

pub use decode::table;
pub use json::to_json;
pub(crate) use left::{merge, read};

use crate::row::{Build, Change, Request};

/// Where a property is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// `default_properties` of the builder.
    Default,
    /// `properties` of the configuration as a whole.
    Global,
    Change,
    /// The scheduler that made the request.
    Scheduler(Name),
    /// The app that was called.
    App(Name),
    Builder,
    /// The group of the worker.
    Worker(Name),
    /// A fact about the build itself.
    Build,
    /// The step that set it.
    Step(Name),
    /// Who is behind the request, as it was verified.
    Caller,
}

impl Source {
    /// Returns its place in Buildbot's order of precedence; of two, the higher decides.
    fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Global => 1,
            Self::Change => 2,
            Self::Scheduler(_) | Self::App(_) => 3,
            Self::Builder => 4,
            Self::Worker(_) => 5,
            Self::Build => 6,
            Self::Step(_) => 7,
            Self::Caller => 8,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Global => f.write_str("global"),
            Self::Change => f.write_str("change"),
            Self::Scheduler(name) => write!(f, "scheduler {name}"),
            Self::App(name) => write!(f, "app {name}"),
            Self::Builder => f.write_str("builder"),
            Self::Worker(group) => write!(f, "worker {group}"),
            Self::Build => f.write_str("build"),
            Self::Step(name) => write!(f, "step {name}"),
            Self::Caller => f.write_str("caller"),
        }
    }
}

/// A value with where it is from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Property {
    pub value: Value,
    pub source: Source,
}

/// Properties by their names.
pub type Properties = BTreeMap<String, Property>;

/// Gives values a source.
pub(crate) fn from(source: &Source, values: &BTreeMap<String, Value>) -> Properties {
    let property = |(name, value): (&String, &Value)| {
        (name.clone(), Property { value: value.clone(), source: source.clone() })
    };
    values.iter().map(property).collect()
}

/// Says whether a name belongs to the verified caller.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

const RESERVED: [&str; 2] = ["owner", "user"];

/// What Buildbot calls the facts of a build.
const STANDARD: [&str; 9] = [
    "branch",
    "buildername",
    "buildnumber",
    "codebase",
    "project",
    "reason",
    "repository",
    "revision",
    "workername",
];

/// The rows that a build's properties are in.
#[derive(Debug, Clone, Copy)]
pub struct Origins<'a> {
    pub change: &'a Change,
    pub request: &'a Request,
    pub phase: Phase<'a>,
}

/// How far a request is.
#[derive(Debug, Clone, Copy)]
pub enum Phase<'a> {
    /// It has no worker, and what the configuration gives its build without one.
    Early(&'a Properties),
    Build(&'a Build),
}

impl<'a> Phase<'a> {
    pub(crate) fn build(self) -> Option<&'a Build> {
        match self {
            Self::Early(_) => None,
            Self::Build(build) => Some(build),
        }
    }

    fn configured(self) -> &'a Properties {
        match self {
            Self::Early(configured) => configured,
            Self::Build(build) => &build.plan.properties,
        }
    }

    /// Returns what its steps have set.
    fn set(self) -> Option<&'a Properties> {
        self.build().map(|build| &build.properties)
    }
}

impl Origins<'_> {
    /// Looks a property up.
    pub fn get(&self, name: &str) -> Option<Property> {
        if is_reserved(name) {
            return of_caller(self.change, &self.request.owner, name);
        }
        let change = self.change.properties.get(name);
        let found = [
            self.phase.configured().get(name).cloned(),
            change.map(|value| Property { value: value.clone(), source: Source::Change }),
            self.request.properties.get(name).cloned(),
            self.standard(name).map(|value| Property { value, source: Source::Build }),
            self.phase.set().and_then(|set| set.get(name).cloned()),
        ];
        found.into_iter().flatten().max_by_key(|property| property.source.rank())
    }

    /// Returns all of them.
    pub fn all(&self) -> Properties {
        let names = self.phase.configured().keys();
        let names = names.chain(self.change.properties.keys());
        let names = names.chain(self.request.properties.keys());
        let names = names
            .chain(self.phase.set().into_iter().flat_map(Properties::keys))
            .map(String::as_str);
        let names = names.chain(STANDARD).chain(RESERVED);
        names.filter_map(|name| Some((name.to_owned(), self.get(name)?))).collect()
    }

    fn standard(&self, name: &str) -> Option<Value> {
        let (change, request) = (self.change, self.request);
        let text = |text: &str| Some(Value::Str(text.to_owned()));
        match name {
            "branch" => text(change.branch.as_deref()?),
            "revision" => text(change.revision.as_deref()?),
            "repository" => text(&change.repository),
            "project" => text(&change.project),
            "codebase" => text(&change.codebase),
            "reason" => text(&request.reason),
            "buildername" => text(request.builder.as_str()),
            "buildnumber" => Some(Value::Int(request.name.number)),
            "workername" => text(self.phase.build()?.worker.as_str()),
            _ => None,
        }
    }
}

/// Returns what is verified of the caller.
fn of_caller(change: &Change, owner: &str, name: &str) -> Option<Property> {
    let text = match name {
        "owner" => owner,
        "user" => &change.launch.as_ref()?.user.name,
        _ => return None,
    };
    Some(Property { value: Value::Str(text.to_owned()), source: Source::Caller })
}

/// Looks up a property of a change that no request stands for yet.
pub(crate) fn of_change(change: &Change, name: &str) -> Option<Value> {
    if is_reserved(name) {
        let owner = change.sender().unwrap_or_default();
        let verified = of_caller(change, owner, name).map(|property| property.value);
        return verified.filter(|value| *value != Value::Str(String::new()));
    }
    change.properties.get(name).cloned()
}
