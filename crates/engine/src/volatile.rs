//! What a restart forgets: who is attached, who follows, and deadlines on boot time.

use std::collections::{BTreeMap, BTreeSet};

use attempt::{CommandId, Place, Stamp};
use config::{Name, Unmet};

use crate::audience::Audience;
use crate::event::Readiness;
use crate::facts::Facts;
use crate::id::RequestId;
use crate::recent::Recent;
use crate::row::Pending;
use crate::time::Now;

/// Something that happens by itself when its time comes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// What a changed configuration means for the rows is still to be drawn.
    Settle,
    /// The stable timer of a scheduler's lane.
    Stable { scheduler: Name, lane: String },
    /// The time after which a request nobody follows is given up.
    Unfollowed(RequestId),
    /// The audience is looked at again.
    Look,
    /// What the first of each line waits for is looked at.
    Waits,
}

/// A worker with a connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attached {
    pub(crate) stamp: Stamp,
    pub(crate) place: Place,
    /// Builds at once, as the worker says.
    pub(crate) max_builds: u32,
    pub(crate) readiness: Readiness,
    pub(crate) facts: Facts,
    /// Builders whose requirements it does not meet, of those that it may run.
    pub(crate) unfit: BTreeMap<Name, Unmet>,
    /// Commands that run there and that nobody here knows. They are told to end, and as long as one
    /// does not, nobody knows which place it has.
    pub(crate) unknown: BTreeSet<CommandId>,
    /// Builds left, as a draining worker was told last.
    pub(crate) told_left: Option<u32>,
}

/// Since when a worker has no connection, in µs since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Its connection ended then.
    Since(i64),
    /// It has not come since the master's start then; how long it was away before is not known.
    SinceStart(i64),
}

/// Everything that does not survive a restart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Volatile {
    started_us: i64,
    pub(crate) workers: BTreeMap<Name, Attached>,
    /// When the connections of those ended that were here.
    left_us: BTreeMap<Name, i64>,
    /// Attached workers that the configuration does not have, and that were not sent away yet.
    pub(crate) strangers: BTreeSet<Name>,
    /// Whose reason to wait is noted, being the first of a line.
    pub(crate) first_in_line: BTreeSet<RequestId>,
    pub(crate) followers: BTreeMap<RequestId, u32>,
    pub(crate) audience: Audience,
    pub(crate) recent: Recent,
    due: BTreeMap<Deadline, i64>,
    order: BTreeSet<(i64, Deadline)>,
}

impl Volatile {
    /// Makes that of a master which starts now.
    pub(crate) fn starting(now: Now) -> Self {
        Self { started_us: now.wall_us, ..Self::default() }
    }

    /// Takes a worker's connection as its present one.
    pub(crate) fn come(&mut self, worker: &Name, attached: Attached) {
        self.left_us.remove(worker);
        self.workers.insert(worker.clone(), attached);
    }

    /// Notes that a worker has no connection any more.
    pub(crate) fn leave(&mut self, now: Now, worker: &Name) {
        self.strangers.remove(worker);
        if self.workers.remove(worker).is_some() {
            self.left_us.insert(worker.clone(), now.wall_us);
        }
    }

    /// Returns since when a worker is away, or `None` where it is attached.
    pub(crate) fn absence(&self, worker: &Name) -> Option<Absence> {
        if self.workers.contains_key(worker) {
            return None;
        }
        let left_us = self.left_us.get(worker).copied();
        Some(left_us.map_or(Absence::SinceStart(self.started_us), Absence::Since))
    }

    /// Sets a deadline, replacing an earlier one for the same thing.
    pub(crate) fn arm(&mut self, deadline: Deadline, boot_us: i64) {
        self.disarm(&deadline);
        self.order.insert((boot_us, deadline.clone()));
        self.due.insert(deadline, boot_us);
    }

    /// Sets a deadline unless there is one for the same thing.
    pub(crate) fn arm_if_absent(&mut self, deadline: Deadline, boot_us: i64) {
        if !self.due.contains_key(&deadline) {
            self.arm(deadline, boot_us);
        }
    }

    /// Sets the deadline of a stable timer by what its row says.
    pub(crate) fn arm_stable(&mut self, now: Now, pending: &Pending) {
        // A wall clock that jumped must neither fire early by years nor never fire.
        let left = (pending.armed_us.saturating_add(pending.stable_us) - now.wall_us)
            .clamp(0, pending.stable_us);
        let Pending { scheduler, lane, .. } = pending.clone();
        self.arm(Deadline::Stable { scheduler, lane }, now.boot_us.saturating_add(left));
    }

    /// Takes a deadline back.
    pub(crate) fn disarm(&mut self, deadline: &Deadline) {
        if let Some(boot_us) = self.due.remove(deadline) {
            self.order.remove(&(boot_us, deadline.clone()));
        }
    }

    /// Lets go of everything about a request that has ended.
    pub(crate) fn forget_request(&mut self, request: RequestId) {
        self.followers.remove(&request);
        self.disarm(&Deadline::Unfollowed(request));
    }

    /// Returns the boot time of the next deadline.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.order.first().map(|(boot_us, _)| *boot_us)
    }

    /// Takes one deadline that has come.
    pub(crate) fn take_due(&mut self, boot_us: i64) -> Option<Deadline> {
        let (due, deadline) = self.order.first()?.clone();
        if due > boot_us {
            return None;
        }
        self.disarm(&deadline);
        Some(deadline)
    }
}
