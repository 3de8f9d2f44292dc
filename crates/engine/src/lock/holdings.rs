//! Who holds which locks.
//!
//! Invariant: it follows from the rows. A build holds the locks of its plan and those of the step
//! that runs; a command that was given up and may still run holds what its build held.

use std::collections::BTreeMap;

use config::Name;

use super::{Access, Claim, Lock, Scope};
use crate::id::BuildId;

/// What one build holds of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub worker: Name,
    pub access: Access,
}

/// The locks that are held, each by at least one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Holdings(BTreeMap<Name, BTreeMap<BuildId, Holding>>);

impl Holdings {
    pub(crate) fn take(&mut self, build: BuildId, worker: &Name, claims: &[Claim]) {
        for Claim { lock, access } in claims.iter().filter(|claim| claim.access.is_something()) {
            let holding = Holding { worker: worker.clone(), access: *access };
            self.0.entry(lock.clone()).or_default().insert(build, holding);
        }
    }

    pub(crate) fn release(&mut self, build: BuildId, claims: &[Claim]) {
        for Claim { lock, .. } in claims {
            if let Some(holders) = self.0.get_mut(lock) {
                holders.remove(&build);
                if holders.is_empty() {
                    self.0.remove(lock);
                }
            }
        }
    }

    /// Returns the locks that are held.
    pub(crate) fn locks(&self) -> impl Iterator<Item = &Name> {
        self.0.keys()
    }

    /// Returns who holds a lock, on all workers.
    pub(crate) fn of(&self, lock: &Name) -> impl Iterator<Item = (BuildId, &Holding)> {
        self.0.get(lock).into_iter().flatten().map(|(build, holding)| (*build, holding))
    }

    /// Returns whoever keeps a lock from being taken on a worker; nobody where it is free. A claim
    /// of more than there is now, which the configuration has lowered since, wants all of it.
    pub(crate) fn against(
        &self,
        claim: &Claim,
        definition: Option<&Lock>,
        worker: &Name,
    ) -> Vec<BuildId> {
        let is_beside = |holding: &Holding| match definition.map(|lock| lock.scope) {
            Some(Scope::Worker) => holding.worker == *worker,
            Some(Scope::Master) | None => true,
        };
        let holders: Vec<_> =
            self.of(&claim.lock).filter(|(_, holding)| is_beside(holding)).collect();
        let units = |access| match access {
            Access::Exclusive => None,
            Access::Counting(count) => Some(u64::from(count)),
        };
        let max = definition.map_or(1, |lock| lock.max_on(worker));
        let held: Option<u64> = holders.iter().map(|(_, holding)| units(holding.access)).sum();
        let fits = match (held, units(claim.access)) {
            (Some(held), Some(wanted)) => held + wanted <= u64::from(max),
            (None, _) | (_, None) => false,
        };
        if fits { Vec::new() } else { holders.into_iter().map(|(build, _)| build).collect() }
    }
}
