//! Chooses which waiting request starts on which worker.
//!
//! Invariant: a worker never has more builds than places.
//! Cost: a dispatch looks at the head of each builder's queue, never behind it.

use std::collections::BTreeMap;

use config::Name;

use crate::durable::QueueKey;
use crate::engine::Engine;
use crate::event::Readiness;
use crate::id::RequestId;
use crate::lock::Kept;
use crate::placement::{Rank, Room, Seeker};
use crate::resources::Resources;
use crate::time::Now;

impl Engine {
    /// Starts everything that can start.
    pub(crate) fn dispatch(&mut self, now: Now) {
        loop {
            self.grant_locks(now);
            let Some((request, worker)) = self.next_start() else { return };
            self.start_build(now, request.1, worker);
        }
    }

    /// Says whether a request of an owner that is made now for the builder would start at once.
    pub(crate) fn can_start_now(&self, builder: &Name, owner: &str) -> bool {
        let Some(settings) = self.settings.builders.get(builder) else { return false };
        let seeker = Seeker { name: builder, builder: settings, owner };
        self.durable.index().head(builder).is_none()
            && matches!(self.find_place(seeker, &self.reserved_before(None)), Found::Worker(_))
    }

    /// Returns how many builds a worker takes: the least of what it and the configuration say.
    pub(crate) fn capacity(&self, worker: &Name) -> u32 {
        let Some(attached) = self.volatile.workers.get(worker) else { return 0 };
        let configured = self.settings.groups_of(worker).filter_map(|(_, group)| group.max_builds);
        configured.fold(attached.max_builds, u32::min)
    }

    /// Returns how many places of an attached worker are free. A draining one has none, and none
    /// that has to end first what nobody knows.
    pub(crate) fn free_places(&self, worker: &Name) -> u32 {
        let is_draining = self.readiness(worker) == Some(Readiness::Draining);
        if is_draining || self.has_unknown_commands(worker) {
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
        let mut reserved = self.kept_for_steps();
        self.heads().into_iter().find_map(|(key, builder)| {
            Some((key, self.look_for_place(key, builder, &mut reserved)?))
        })
    }

    /// Returns the first of each line, in the order of service.
    fn heads(&self) -> Vec<(QueueKey, &Name)> {
        let index = self.durable.index();
        let head = |builder| Some((index.head(builder)?, builder));
        let mut heads: Vec<_> = index.waiting_builders().filter_map(head).collect();
        heads.sort_unstable();
        heads
    }

    fn look_for_place<'a>(
        &'a self,
        key: QueueKey,
        builder: &Name,
        reserved: &mut Reserved<'a>,
    ) -> Option<Name> {
        let request = self.durable.request(key.1)?;
        let settings = self.settings.builders.get(builder)?;
        let seeker = Seeker { name: builder, builder: settings, owner: &request.owner };
        match self.find_place(seeker, reserved) {
            Found::Worker(worker) => return Some(worker.clone()),
            Found::Later(worker) => reserved.keep(worker, key.1, &settings.resources),
            Found::Nothing => {}
        }
        if !settings.locks.is_empty() {
            let workers = self.volatile.workers.keys();
            let able = workers.filter(|worker| self.could_run(seeker, worker));
            self.keep_for_request(&mut reserved.locks, &settings.locks, able, key.1);
        }
        None
    }

    /// Looks at the first of each line in the order of service, with what is kept for those before.
    pub(crate) fn pass<'a>(
        &'a self,
        look: &mut impl FnMut(&'a Self, &'a Name, RequestId, &Reserved<'a>),
    ) {
        let mut reserved = self.kept_for_steps();
        for (key, builder) in self.heads() {
            look(self, builder, key.1, &reserved);
            self.look_for_place(key, builder, &mut reserved);
        }
    }

    /// Returns what is kept before any request is looked at.
    fn kept_for_steps(&self) -> Reserved<'_> {
        let mut reserved = Reserved::default();
        self.keep_for_steps(&mut reserved.locks, i64::MAX);
        reserved
    }

    /// Finds the worker that a request likes best; or the one on which it will fit soonest, as far
    /// as that can be told.
    fn find_place<'a>(&'a self, seeker: Seeker<'_>, reserved: &Reserved<'_>) -> Found<'a> {
        let mut best: Option<(Rank, &Name)> = None;
        let mut later: Option<(u64, &Name)> = None;
        let wanted = &seeker.builder.resources;
        let workers = self.volatile.workers.keys();
        let locks = &seeker.builder.locks;
        let open = workers.filter(|worker| {
            reserved.keeper(worker, wanted).is_none()
                && self.are_free(locks, worker, &reserved.locks)
        });
        for worker in open {
            match self.room(seeker, worker) {
                Room::Free(rank) => {
                    if best.as_ref().is_none_or(|(known, _)| rank < *known) {
                        best = Some((rank, worker));
                    }
                }
                Room::Later(lack) => {
                    let missing = (lack.wanted - lack.free, worker);
                    later = Some(later.map_or(missing, |known| known.min(missing)));
                }
                Room::None => {}
            }
        }
        match (best, later) {
            (Some((_, worker)), _) => Found::Worker(worker),
            (None, Some((_, worker))) => Found::Later(worker),
            (None, None) => Found::Nothing,
        }
    }

    /// Returns what is kept for those that are served before one that waits, or before one that
    /// would come last, when everything that can start has started.
    pub(crate) fn reserved_before(&self, request: Option<RequestId>) -> Reserved<'_> {
        let mut reserved = self.kept_for_steps();
        for (key, builder) in self.heads() {
            if Some(key.1) == request {
                break;
            }
            self.look_for_place(key, builder, &mut reserved);
        }
        reserved
    }
}

/// What is kept for those that are served before others and wait for more of it to become free:
/// small ones would take it, for ever.
#[derive(Debug, Default)]
pub(crate) struct Reserved<'a> {
    resources: BTreeMap<&'a Name, Vec<(RequestId, &'a Resources)>>,
    pub(crate) locks: Kept<'a>,
}

impl<'a> Reserved<'a> {
    fn keep(&mut self, worker: &'a Name, request: RequestId, wanted: &'a Resources) {
        self.resources.entry(worker).or_default().push((request, wanted));
    }

    /// Returns for whom something of what is wanted is kept on a worker.
    pub(crate) fn keeper(&self, worker: &Name, wanted: &Resources) -> Option<RequestId> {
        let mut kept = self.resources.get(worker)?.iter();
        kept.find(|(_, kept)| kept.meets(wanted)).map(|(request, _)| *request)
    }
}

/// What a request finds.
enum Found<'a> {
    Worker(&'a Name),
    /// It fits there when others have ended.
    Later(&'a Name),
    Nothing,
}
