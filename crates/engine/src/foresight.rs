//! What another configuration would do to those who wait and to what runs.
//!
//! It is tried on a copy of the engine, so what is foreseen is what happens, as long as nothing
//! else does in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::Name;

use crate::engine::Engine;
use crate::id::RequestName;
use crate::row::{Build, Request, RequestState, Write};
use crate::settings::Settings;
use crate::time::Now;

/// A request that a configuration touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    pub request: RequestName,
    pub owner: String,
    pub builder: Name,
    /// Where it runs, or is going to.
    pub worker: Option<Name>,
}

/// What would follow from a configuration. Lists are in the order in which requests were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foresight {
    /// They wait, and would be cancelled: their builder is gone.
    pub cancelled: Vec<Touched>,
    /// They wait for a builder that is gone, and are still served.
    pub drained: Vec<Touched>,
    /// They wait, and would start at once.
    pub started: Vec<Touched>,
    /// They run, and finish although their builder or worker is gone.
    pub finishing: Vec<Touched>,
    /// Changes that a scheduler holds and would let go of, by scheduler.
    pub let_go: BTreeMap<Name, usize>,
}

impl Engine {
    /// Tries another configuration on a copy.
    pub fn foresee(&self, now: Now, settings: Arc<Settings>) -> Foresight {
        let mut trial = self.clone();
        trial.take_settings(now, settings);
        let held = |engine: &Self| {
            let mut held: BTreeMap<Name, usize> = BTreeMap::new();
            for row in engine.durable.pending.iter() {
                *held.entry(row.scheduler.clone()).or_default() += row.changes.len();
            }
            held
        };
        let (before, after) = (held(self), held(&trial));
        let let_go = before.into_iter().filter_map(|(scheduler, count)| {
            let lost = count - after.get(&scheduler).copied().unwrap_or(0).min(count);
            (lost > 0).then_some((scheduler, lost))
        });
        trial.dispatch(now);
        let mut foresight = Foresight { let_go: let_go.collect(), ..Foresight::default() };
        for write in trial.durable.drain() {
            if let Write::Request(row) = write {
                foresight.note(&trial, &row);
            }
        }
        for row in trial.durable.requests() {
            foresight.note_removed(&trial, self, row);
        }
        foresight
    }
}

impl Foresight {
    /// Notes what became of a request that was touched.
    fn note(&mut self, trial: &Engine, row: &Request) {
        match row.state {
            RequestState::Waiting | RequestState::Merged { .. } => {}
            RequestState::Running { build } => {
                self.started.push(touched(row, trial.durable.build(build)));
            }
            RequestState::Done { .. } => self.cancelled.push(touched(row, None)),
        }
    }

    /// Notes a request whose builder or worker is gone.
    fn note_removed(&mut self, trial: &Engine, before: &Engine, row: &Request) {
        let settings = &trial.settings;
        let is_retired = settings.retired.contains(&row.builder);
        match row.state {
            RequestState::Waiting | RequestState::Merged { .. } if is_retired => {
                self.drained.push(touched(row, None));
            }
            RequestState::Running { build } => {
                let Some(build) = before.durable.build(build) else { return };
                let is_gone = is_retired || !settings.builders.contains_key(&row.builder);
                if is_gone || !settings.knows_worker(&build.worker) {
                    self.finishing.push(touched(row, Some(build)));
                }
            }
            RequestState::Waiting | RequestState::Merged { .. } | RequestState::Done { .. } => {}
        }
    }
}

fn touched(row: &Request, build: Option<&Build>) -> Touched {
    Touched {
        request: row.name.clone(),
        owner: row.owner.clone(),
        builder: row.builder.clone(),
        worker: build.map(|build| build.worker.clone()),
    }
}
