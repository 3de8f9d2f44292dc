//! Finds living requests: by name, by their places in line, and by what else they have in common.
//!
//! Invariant: it is a function of the requests alone. Whoever changes one takes it out before and
//! puts it in after.

use std::collections::{BTreeMap, BTreeSet};

use config::Name;

use crate::durable::QueueKey;
use crate::id::{RequestId, RequestName};
use crate::line::Line;
use crate::row::{Request, RequestState};

/// The index. Sets and lines in it are never empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RequestIndex {
    names: BTreeMap<RequestName, RequestId>,
    /// What waits, by builder.
    lines: BTreeMap<Name, Line>,
    /// What waits and may take others in, by builder and owner.
    collapsing: BTreeMap<(Name, String), BTreeSet<RequestId>>,
    /// What was merged, by what it was merged into.
    merged: BTreeMap<RequestId, BTreeSet<RequestId>>,
    /// What schedulers asked for, by scheduler and builder.
    scheduled: BTreeMap<(Name, Name), BTreeSet<RequestId>>,
}

fn put<K: Ord>(sets: &mut BTreeMap<K, BTreeSet<RequestId>>, key: K, id: RequestId) {
    sets.entry(key).or_default().insert(id);
}

fn take<K: Ord>(sets: &mut BTreeMap<K, BTreeSet<RequestId>>, key: &K, id: RequestId) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(&id);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

fn members<'a, K: Ord>(
    sets: &'a BTreeMap<K, BTreeSet<RequestId>>,
    key: &K,
) -> impl Iterator<Item = RequestId> + use<'a, K> {
    sets.get(key).into_iter().flatten().copied()
}

impl RequestIndex {
    /// Puts a request in. One that has ended is nowhere.
    pub(crate) fn enter(&mut self, request: &Request) {
        match request.state {
            RequestState::Waiting => {
                let line = self.lines.entry(request.builder.clone()).or_default();
                line.insert(request.queue_key());
                if request.collapses {
                    put(&mut self.collapsing, collapsing_key(request), request.id);
                }
            }
            RequestState::Merged { into } => put(&mut self.merged, into, request.id),
            RequestState::Running { .. } => {}
            RequestState::Done { .. } => return,
        }
        self.names.insert(request.name.clone(), request.id);
        if let Some(key) = scheduled_key(request) {
            put(&mut self.scheduled, key, request.id);
        }
    }

    /// Takes a request out as it was put in.
    pub(crate) fn leave(&mut self, request: &Request) {
        match request.state {
            RequestState::Waiting => {
                if let Some(line) = self.lines.get_mut(&request.builder) {
                    line.remove(&request.queue_key());
                    if line.is_empty() {
                        self.lines.remove(&request.builder);
                    }
                }
                take(&mut self.collapsing, &collapsing_key(request), request.id);
            }
            RequestState::Merged { into } => take(&mut self.merged, &into, request.id),
            RequestState::Running { .. } | RequestState::Done { .. } => {}
        }
        self.names.remove(&request.name);
        if let Some(key) = scheduled_key(request) {
            take(&mut self.scheduled, &key, request.id);
        }
    }

    pub(crate) fn named(&self, name: &RequestName) -> Option<RequestId> {
        self.names.get(name).copied()
    }

    /// Returns the request that a builder serves next.
    pub(crate) fn head(&self, builder: &Name) -> Option<QueueKey> {
        self.lines.get(builder)?.first()
    }

    /// Returns how many requests wait for a builder.
    pub(crate) fn length(&self, builder: &Name) -> usize {
        self.lines.get(builder).map_or(0, Line::len)
    }

    /// Returns how many requests a builder serves before one that waits.
    pub(crate) fn ahead_of(&self, builder: &Name, key: &QueueKey) -> Option<usize> {
        self.lines.get(builder)?.ahead_of(key)
    }

    /// Returns the builders that have something waiting.
    pub(crate) fn waiting_builders(&self) -> impl Iterator<Item = &Name> {
        self.lines.keys()
    }

    /// Returns what waits of an owner for a builder and may take others in, the oldest first.
    pub(crate) fn collapsing<'a>(
        &'a self,
        builder: &Name,
        owner: &str,
    ) -> impl Iterator<Item = RequestId> + use<'a> {
        members(&self.collapsing, &(builder.clone(), owner.to_owned()))
    }

    /// Returns what was merged into a request, the oldest first.
    pub(crate) fn merged_into(&self, into: RequestId) -> impl Iterator<Item = RequestId> {
        members(&self.merged, &into)
    }

    /// Returns what lives of a scheduler's requests for a builder, the oldest first.
    pub(crate) fn scheduled<'a>(
        &'a self,
        scheduler: &Name,
        builder: &Name,
    ) -> impl Iterator<Item = RequestId> + use<'a> {
        members(&self.scheduled, &(scheduler.clone(), builder.clone()))
    }
}

fn collapsing_key(request: &Request) -> (Name, String) {
    (request.builder.clone(), request.owner.clone())
}

fn scheduled_key(request: &Request) -> Option<(Name, Name)> {
    Some((request.scheduler.clone()?, request.builder.clone()))
}
