//! What requests wait for, and for how long, to be told when they have run.
//!
//! The first of a builder's line is looked at every second, and with every change of its reason its
//! row is written; whoever is behind it waits for its turn. So the cost is one look a second at each
//! line, however long it is, and times are exact to a second.

use std::collections::BTreeMap;
use std::fmt;

use config::Name;
use serde::{Deserialize, Serialize};

use crate::dispatch::Reserved;
use crate::engine::Engine;
use crate::id::RequestId;
use crate::row::RequestState;
use crate::time::Now;
use crate::volatile::Deadline;
use crate::why::Blocker;

/// Between two looks, in µs.
const PAUSE_US: i64 = 1_000_000;

/// Why the first of a line does not start, in short.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hindrance {
    /// A worker has a place, and a lock is held.
    Lock(Name),
    /// A worker has a place, and too little left of what it counts.
    Resources,
    /// The places of its workers are taken.
    Worker,
    /// What is there is not what the builder requires.
    Requirement,
    /// No worker that may run it is there.
    NoWorker,
}

/// How long a request waited for what. The rest of its wait it was not the first in line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// In µs.
    pub spent: BTreeMap<Hindrance, i64>,
    /// What it waits for now, and since when.
    pub now: Option<(Hindrance, i64)>,
}

impl Waits {
    /// Says whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.spent.is_empty() && self.now.is_none()
    }

    /// Goes on with another reason, or with none.
    fn turn(&mut self, wall_us: i64, next: Option<Hindrance>) {
        if let Some((before, since_us)) = self.now.take() {
            // A clock that was set back has nothing to say about it.
            *self.spent.entry(before).or_default() += (wall_us - since_us).max(0);
        }
        self.now = next.map(|next| (next, wall_us));
    }

    fn is_for(&self, hindrance: Option<&Hindrance>) -> bool {
        self.now.as_ref().map(|(now, _)| now) == hindrance
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(name) => write!(f, "lock {name}"),
            Self::Resources => f.write_str("what its worker had too little of"),
            Self::Worker => f.write_str("a place on a worker"),
            Self::Requirement => f.write_str("a worker that meets its requirement"),
            Self::NoWorker => f.write_str("a worker to connect"),
        }
    }
}

/// Returns what would have to change first: of several workers the one that needs least counts.
fn foremost(blockers: &[Blocker]) -> Option<Hindrance> {
    let hindrance = |blocker: &Blocker| match blocker {
        Blocker::LockHeld { lock, .. } | Blocker::LockKept { lock, .. } => {
            Some(Hindrance::Lock(lock.clone()))
        }
        Blocker::Lacks { .. } | Blocker::KeptFor { .. } => Some(Hindrance::Resources),
        Blocker::WorkerFull { .. }
        | Blocker::WorkerDraining { .. }
        | Blocker::WorkerEnding { .. } => Some(Hindrance::Worker),
        Blocker::Unfit { .. } => Some(Hindrance::Requirement),
        Blocker::NoWorkerAttached { .. } => Some(Hindrance::NoWorker),
        Blocker::BuilderUnknown { .. } | Blocker::Behind { .. } => None,
    };
    blockers.iter().filter_map(hindrance).min()
}

impl Engine {
    /// Has the lines looked at as long as there are any.
    pub(crate) fn watch_waits(&mut self, now: Now) {
        if self.durable.index().waiting_builders().next().is_some() {
            self.volatile.arm_if_absent(Deadline::Waits, now.boot_us + PAUSE_US);
        } else {
            self.volatile.disarm(&Deadline::Waits);
        }
    }

    /// Looks at the first of each line, and notes what has changed.
    pub(crate) fn look_at_waits(&mut self, now: Now) {
        let found = self.hindrances();
        let before = std::mem::take(&mut self.volatile.first_in_line);
        for request in before {
            if !found.contains_key(&request) {
                self.note_wait(now, request, None);
            }
        }
        self.volatile.first_in_line = found.keys().copied().collect();
        for (request, hindrance) in found {
            self.note_wait(now, request, hindrance);
        }
    }

    /// Returns what keeps the first of each line, in one pass in the order of service.
    fn hindrances(&self) -> BTreeMap<RequestId, Option<Hindrance>> {
        let mut found = BTreeMap::new();
        let mut look = |engine: &Self, builder: &Name, request, reserved: &Reserved<'_>| {
            found.insert(request, foremost(&engine.blockers_with(builder, reserved)));
        };
        self.pass(&mut look);
        found
    }

    fn note_wait(&mut self, now: Now, id: RequestId, next: Option<Hindrance>) {
        let Some(request) = self.durable.request(id) else { return };
        let is_waiting = request.state == RequestState::Waiting;
        let next = next.filter(|_| is_waiting);
        if !request.waits.is_for(next.as_ref()) {
            self.durable.edit_waits(id, |waits| waits.turn(now.wall_us, next));
        }
    }

    /// Notes that a request waits no longer.
    pub(crate) fn end_wait(&mut self, now: Now, id: RequestId) {
        let has_reason = self.durable.request(id).is_some_and(|row| row.waits.now.is_some());
        if has_reason {
            self.durable.edit_waits(id, |waits| waits.turn(now.wall_us, None));
        }
    }
}
