//! What a build will do, resolved once when it is made.

use std::collections::BTreeMap;

use config::Name;
use serde::{Deserialize, Serialize};

use crate::lock::Claim;
use crate::property::{self, Properties, Source};
use crate::resources::Resources;
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
    /// What the configuration gives every build of the builder on this worker.
    #[serde(default)]
    pub properties: Properties,
    /// What it takes of its worker as long as it has a place there.
    #[serde(default)]
    pub resources: Resources,
    /// What it holds as long.
    #[serde(default)]
    pub locks: Vec<Claim>,
}

impl Plan {
    /// The version this build of Yardmaster writes.
    pub const VERSION: u32 = 1;

    /// Makes the plan of a builder's build on a worker.
    pub(crate) fn new(name: Name, builder: &Builder, worker: &Name, settings: &Settings) -> Self {
        let sources = builder.steps.iter().filter_map(|step| match &step.kind {
            StepKind::Git(git) => Some(&git.source),
            StepKind::Command(_) | StepKind::Script(_) => None,
        });
        let repositories = sources
            .filter_map(|source| Some((source.clone(), settings.repositories.get(source)?.clone())))
            .collect();
        Self {
            version: Self::VERSION,
            builder: name,
            steps: builder.steps.clone(),
            repositories,
            properties: configured(builder, Some(worker), settings),
            resources: builder.resources.clone(),
            locks: builder.locks.clone(),
        }
    }
}

/// Returns what the configuration gives a build. Later ones replace earlier ones: their sources rank
/// higher.
pub(crate) fn configured(
    builder: &Builder,
    worker: Option<&Name>,
    settings: &Settings,
) -> Properties {
    let mut properties = property::from(&Source::Default, &builder.default_properties);
    properties.extend(property::from(&Source::Global, &settings.properties));
    properties.extend(property::from(&Source::Builder, &builder.properties));
    for (group, worker) in worker.into_iter().flat_map(|worker| settings.groups_of(worker)) {
        properties.extend(property::from(&Source::Worker(group.clone()), &worker.properties));
    }
    properties
}
