//! What is kept for those who wait, from those who come after them.

use std::collections::BTreeMap;

use config::Name;

use super::{Claim, Scope};
use crate::id::RequestId;
use crate::settings::Settings;

/// Locks that are kept, with the first for whom: everywhere, or on a worker.
#[derive(Debug, Default)]
pub(crate) struct Kept<'a>(BTreeMap<(&'a Name, Option<&'a Name>), RequestId>);

impl<'a> Kept<'a> {
    /// Keeps locks on a worker, unless they are already kept for somebody before.
    pub(crate) fn keep(
        &mut self,
        claims: &'a [Claim],
        worker: &'a Name,
        settings: &Settings,
        request: RequestId,
    ) {
        for claim in claims.iter().filter(|claim| claim.access.is_something()) {
            let place = place(claim, worker, settings);
            self.0.entry((&claim.lock, place)).or_insert(request);
        }
    }

    /// Returns for whom a lock is kept on a worker.
    pub(crate) fn keeper(
        &self,
        claim: &Claim,
        worker: &Name,
        settings: &Settings,
    ) -> Option<RequestId> {
        if !claim.access.is_something() {
            return None;
        }
        self.0.get(&(&claim.lock, place(claim, worker, settings))).copied()
    }
}

fn place<'a>(claim: &Claim, worker: &'a Name, settings: &Settings) -> Option<&'a Name> {
    match settings.locks.get(&claim.lock).map(|lock| lock.scope) {
        Some(Scope::Worker) => Some(worker),
        Some(Scope::Master) | None => None,
    }
}
