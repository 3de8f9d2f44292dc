//! What is known of a worker's machine, and what requirements see of it.

use std::collections::{BTreeMap, BTreeSet};

use config::template::{FieldPath, Root};
use config::{Name, Unmet, Value};

use crate::engine::Engine;
use crate::resources::{CPUS, MEMORY, Resources};

/// What a worker says of its machine when it attaches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    pub os: String,
    pub arch: String,
    pub cpus: u32,
    pub memory_bytes: u64,
    /// What its probes have found; those that found nothing are not here.
    pub probes: BTreeMap<String, Value>,
}

impl Engine {
    /// Judges again which builders a worker does not fit.
    pub(crate) fn judge(&mut self, worker: &Name) {
        let Some(attached) = self.volatile.workers.get(worker) else { return };
        let scope = |path: &FieldPath| self.fact(worker, &attached.facts, path);
        let unfit: BTreeMap<Name, Unmet> = self
            .settings
            .builders
            .iter()
            .filter(|(_, builder)| self.settings.may_run(worker, builder))
            .filter_map(|(name, builder)| {
                Some((name.clone(), builder.require.as_ref()?.unmet(&scope)?))
            })
            .collect();
        if let Some(attached) = self.volatile.workers.get_mut(worker) {
            attached.unfit = unfit;
        }
    }

    /// Returns why a worker does not fit a builder, if it does not.
    pub(crate) fn unfit(&self, worker: &Name, builder: &Name) -> Option<&Unmet> {
        self.volatile.workers.get(worker)?.unfit.get(builder)
    }

    fn fact(&self, worker: &Name, facts: &Facts, path: &FieldPath) -> Option<Value> {
        let (Root::Worker, Some(field)) = (path.root, path.fields.first()) else { return None };
        Some(match field.as_str() {
            "name" => Value::Str(worker.to_string()),
            "labels" => {
                let groups = self.settings.groups_of(worker);
                let labels: BTreeSet<&Name> =
                    groups.flat_map(|(_, group)| group.labels.iter()).collect();
                Value::List(labels.into_iter().map(|l| Value::Str(l.to_string())).collect())
            }
            "os" => Value::Str(facts.os.clone()),
            "arch" => Value::Str(facts.arch.clone()),
            "cpus" => Value::Int(i64::from(facts.cpus)),
            "memory" => Value::Int(i64::try_from(facts.memory_bytes).unwrap_or(i64::MAX)),
            "probe" => Value::Map(facts.probes.clone()),
            _ => return None,
        })
    }

    /// Returns what a worker has: what it says of processors and memory, and what its groups say.
    pub fn resources(&self, worker: &Name) -> Resources {
        let facts = self.volatile.workers.get(worker).map(|attached| &attached.facts);
        let said = facts.map(|facts| {
            let cpus = (CPUS.to_owned(), u64::from(facts.cpus));
            Resources::new([cpus, (MEMORY.to_owned(), facts.memory_bytes)])
        });
        let groups = self.settings.groups_of(worker);
        groups.fold(said.unwrap_or_default(), |sum, (_, group)| sum.replaced_by(&group.resources))
    }

    /// Returns what the builds on a worker have taken of it.
    pub fn resources_taken(&self, worker: &Name) -> Resources {
        let builds = self.durable.slots(worker).into_iter().flatten();
        let mut taken = Resources::default();
        for build in builds.filter_map(|(_, id)| self.durable.build(*id)) {
            taken.add(&build.plan.resources);
        }
        taken
    }
}
