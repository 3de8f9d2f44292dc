//! What a build will do, resolved once when it is made.

use std::collections::BTreeMap;

use config::Name;
use serde::{Deserialize, Serialize};

use crate::settings::{Builder, Settings};
use crate::step::{Repository, Step, StepKind};

/// The steps of a build with their templates unexpanded, and all they need to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this type's shape; a build of an older one is read as it was written.
    pub version: u32,
    pub builder: Name,
    pub steps: Vec<Step>,
    /// The repositories that git steps check out, by change source.
    pub repositories: BTreeMap<Name, Repository>,
}

impl Plan {
    /// The version this build of Yardmaster writes.
    pub const VERSION: u32 = 1;

    /// Makes the plan of a builder.
    pub(crate) fn new(name: Name, builder: &Builder, settings: &Settings) -> Self {
        let sources = builder.steps.iter().filter_map(|step| match &step.kind {
            StepKind::Git(git) => Some(&git.source),
            StepKind::Command(_) | StepKind::Script(_) => None,
        });
        let repositories = sources
            .filter_map(|source| Some((source.clone(), settings.repositories.get(source)?.clone())))
            .collect();
        Self { version: Self::VERSION, builder: name, steps: builder.steps.clone(), repositories }
    }
}
