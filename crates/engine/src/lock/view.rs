//! Shows the locks: who holds them, and who waits.

use std::collections::BTreeSet;

use config::Name;

use super::{Access, Claim, Holding, Lock};
use crate::engine::Engine;
use crate::id::{BuildId, RequestName};
use crate::row::{Build, StepState};

/// A lock with all that have to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockView {
    pub name: Name,
    /// `None` where the configuration no longer has it, and somebody still does.
    pub definition: Option<Lock>,
    pub holders: Vec<Holder>,
    /// In their order: steps before requests.
    pub waiters: Vec<LockWaiter>,
}

/// One that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// `None` where the build was given up and something of it may still run.
    pub request: Option<RequestName>,
    pub worker: Name,
    pub access: Access,
    /// `None` where the whole build has it.
    pub step: Option<Name>,
    pub since_us: i64,
}

/// One that waits for a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockWaiter {
    Step {
        request: RequestName,
        worker: Name,
        step: Name,
        access: Access,
        since_us: i64,
    },
    /// The first of a builder's line, with how many are behind it.
    Line {
        request: RequestName,
        behind: usize,
        access: Access,
        since_us: i64,
    },
}

impl Engine {
    /// Returns every lock that is configured or held, by name.
    pub fn locks(&self) -> Vec<LockView> {
        let held = self.durable.holdings().locks();
        let names: BTreeSet<&Name> = self.settings.locks.keys().chain(held).collect();
        names.into_iter().map(|name| self.lock(name)).collect()
    }

    fn lock(&self, name: &Name) -> LockView {
        let holders = self.durable.holdings().of(name);
        LockView {
            name: name.clone(),
            definition: self.settings.locks.get(name).cloned(),
            holders: holders.filter_map(|(id, holding)| self.holder(name, id, holding)).collect(),
            waiters: self.steps_that_wait(name).chain(self.lines_that_wait(name)).collect(),
        }
    }

    fn holder(&self, lock: &Name, id: BuildId, holding: &Holding) -> Option<Holder> {
        let (worker, access) = (holding.worker.clone(), holding.access);
        let Some(build) = self.durable.build(id) else {
            let since_us = self.durable.commands().find(|row| row.build == id)?.assigned_us;
            return Some(Holder { request: None, worker, access, step: None, since_us });
        };
        let request = Some(build.name.clone());
        let mut steps = build.plan.steps.iter().zip(&build.steps);
        let step = steps.find(|(step, progress)| {
            progress.state == StepState::Running && claim_of(&step.locks, lock).is_some()
        });
        let (step, since_us) = match step {
            Some((step, progress)) => {
                (Some(step.name.clone()), progress.started_us.unwrap_or(build.started_us))
            }
            None => (None, build.started_us),
        };
        Some(Holder { request, worker, access, step, since_us })
    }

    fn steps_that_wait(&self, lock: &Name) -> impl Iterator<Item = LockWaiter> {
        let builds = self.durable.blocked().filter_map(|(_, id)| self.durable.build(id));
        builds.filter_map(move |build| step_that_waits(build, lock))
    }

    fn lines_that_wait(&self, lock: &Name) -> impl Iterator<Item = LockWaiter> {
        let index = self.durable.index();
        let builders = index.waiting_builders();
        builders.filter_map(move |builder| {
            let access = claim_of(&self.settings.builders.get(builder)?.locks, lock)?;
            let first = self.durable.request(index.head(builder)?.1)?;
            Some(LockWaiter::Line {
                request: first.name.clone(),
                behind: index.length(builder).saturating_sub(1),
                access,
                since_us: first.submitted_us,
            })
        })
    }
}

fn step_that_waits(build: &Build, lock: &Name) -> Option<LockWaiter> {
    build.plan.steps.iter().zip(&build.steps).find_map(|(step, progress)| {
        let StepState::Blocked { since_us, .. } = progress.state else { return None };
        Some(LockWaiter::Step {
            request: build.name.clone(),
            worker: build.worker.clone(),
            step: step.name.clone(),
            access: claim_of(&step.locks, lock)?,
            since_us,
        })
    })
}

fn claim_of(claims: &[Claim], lock: &Name) -> Option<Access> {
    claims.iter().find(|claim| claim.lock == *lock).map(|claim| claim.access)
}
