//! What a restart forgets: who is attached, who follows, and deadlines on boot time.

use std::collections::{BTreeMap, BTreeSet};

use attempt::{Place, Stamp};
use config::Name;

use crate::audience::Audience;
use crate::event::Readiness;
use crate::id::RequestId;

/// Something that happens by itself when its time comes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// The stable timer of a scheduler's lane.
    Stable { scheduler: Name, lane: String },
    /// The time after which a request nobody follows is given up.
    Unfollowed(RequestId),
    /// Keys of submissions are let go of.
    Keys,
    /// The audience is looked at again.
    Look,
}

/// A worker with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) stamp: Stamp,
    pub(crate) place: Place,
    /// Builds at once, as the worker says.
    pub(crate) max_builds: u32,
    pub(crate) readiness: Readiness,
    /// Builds left, as a draining worker was told last.
    pub(crate) told_left: Option<u32>,
}

/// Everything that does not survive a restart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Volatile {
    pub(crate) workers: BTreeMap<Name, Attached>,
    pub(crate) followers: BTreeMap<RequestId, u32>,
    pub(crate) audience: Audience,
    due: BTreeMap<Deadline, i64>,
    order: BTreeSet<(i64, Deadline)>,
}

impl Volatile {
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
