//! Chooses which waiting request starts on which worker.
//!
//! Invariant: a worker never has more builds than places.
//! Cost: a dispatch looks at the head of each builder's queue, never behind it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use config::Name;

use crate::durable::QueueKey;
use crate::engine::Engine;
use crate::event::Readiness;
use crate::time::Now;

impl Engine {
    /// Starts everything that can start.
    pub(crate) fn dispatch(&mut self, now: Now) {
        while let Some((request, worker)) = self.next_start() {
            self.start_build(now, request.1, worker);
        }
    }

    /// Says whether a request made now for the builder would start at once.
    pub(crate) fn can_start_now(&self, builder: &Name) -> bool {
        self.durable.index().head(builder).is_none() && self.free_worker(builder).is_some()
    }

    /// Returns how many builds a worker takes: the least of what it and the configuration say.
    pub(crate) fn capacity(&self, worker: &Name) -> u32 {
        let Some(attached) = self.volatile.workers.get(worker) else { return 0 };
        let configured = self.settings.groups_of(worker).filter_map(|(_, group)| group.max_builds);
        configured.fold(attached.max_builds, u32::min)
    }

    /// Returns how many places of an attached worker are free. A draining one has none.
    pub(crate) fn free_places(&self, worker: &Name) -> u32 {
        if self.readiness(worker) == Some(Readiness::Draining) {
            return 0;
        }
        let taken = self.durable.slots(worker).map_or(0, BTreeMap::len);
        self.capacity(worker).saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }

    /// Returns the lowest place of a worker that is free.
    pub(crate) fn free_slot(&self, worker: &Name) -> u32 {
        let taken = self.durable.slots(worker);
        (0..u32::MAX).find(|slot| taken.is_none_or(|slots| !slots.contains_key(slot))).unwrap_or(0)
    }

    /// Returns the request to serve next with the worker to serve it, if there is such a pair.
    fn next_start(&self) -> Option<(QueueKey, Name)> {
        if !self.volatile.workers.keys().any(|worker| self.free_places(worker) > 0) {
            return None;
        }
        let heads = self.durable.index().waiting_builders().filter_map(|builder| {
            let head = self.durable.index().head(builder)?;
            let worker = self.free_worker(builder)?;
            Some((head, worker))
        });
        heads.min_by_key(|(head, _)| *head)
    }

    /// Returns the least loaded attached worker that may run the builder and has a place.
    fn free_worker(&self, builder: &Name) -> Option<Name> {
        let builder = self.settings.builders.get(builder)?;
        let free = self.volatile.workers.keys().filter_map(|worker| {
            let places = self.free_places(worker);
            (places > 0 && self.settings.may_run(worker, builder))
                .then_some((Reverse(places), worker))
        });
        free.min().map(|(_, worker)| worker.clone())
    }
}
