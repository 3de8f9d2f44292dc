//! The checked configuration as far as the engine decides by it.

use std::collections::BTreeMap;

use config::Name;

use crate::row::OnDisconnect;
use crate::scheduler::Scheduler;
use crate::step::Step;

/// Everything the engine knows from the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The number under which the configuration was stored.
    pub revision: i64,
    pub workers: BTreeMap<Name, WorkerGroup>,
    pub schedulers: BTreeMap<Name, Scheduler>,
    pub builders: BTreeMap<Name, Builder>,
    pub apps: BTreeMap<Name, App>,
    /// The change source by which clients submit, if one listens.
    pub changeport: Option<Name>,
}

/// `[worker.NAME]`: a group of workers that are configured alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerGroup {
    pub names: Vec<Name>,
    /// Builds at once on each; a worker may say it wants fewer.
    pub max_builds: Option<u32>,
    pub labels: Vec<Name>,
}

/// `[builder.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Builder {
    /// Groups whose workers may run it.
    pub workers: Vec<Name>,
    pub description: String,
    pub steps: Vec<Step>,
}

/// `[app.NAME]`: a launcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub builder: Name,
    /// Names, or prefixes that end in `*`, of variables the caller may pass.
    pub env: Vec<String>,
    pub on_disconnect: OnDisconnect,
    pub summary: String,
}

impl App {
    /// Says whether the caller may pass the variable.
    pub fn allows_variable(&self, name: &[u8]) -> bool {
        self.env.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix.as_bytes()),
            None => name == allowed.as_bytes(),
        })
    }
}

impl Settings {
    /// Returns the groups a worker belongs to.
    pub fn groups_of<'a>(
        &'a self,
        worker: &'a Name,
    ) -> impl Iterator<Item = (&'a Name, &'a WorkerGroup)> {
        self.workers.iter().filter(move |(_, group)| group.names.contains(worker))
    }

    /// Says whether the configuration knows the worker.
    pub fn knows_worker(&self, worker: &Name) -> bool {
        self.groups_of(worker).next().is_some()
    }

    /// Says whether a worker may run a builder.
    pub fn may_run(&self, worker: &Name, builder: &Builder) -> bool {
        self.groups_of(worker).any(|(group, _)| builder.workers.contains(group))
    }
}
