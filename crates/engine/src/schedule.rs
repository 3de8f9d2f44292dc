//! Offers changes to schedulers, runs their stable timers and makes requests.

use std::time::Duration;

use config::Name;

use crate::engine::Engine;
use crate::id::{BuildsetId, ChangeId, RequestId, RequestName};
use crate::property::{self, Properties, Source};
use crate::row::{OnDisconnect, Pending, Request, RequestState};
use crate::scheduler::{Scheduler, Weight};
use crate::time::Now;
use crate::volatile::Deadline;
use crate::waits::Waits;

/// A request about to be made.
pub(crate) struct NewRequest {
    pub(crate) label: Name,
    pub(crate) builder: Name,
    pub(crate) changes: Vec<ChangeId>,
    pub(crate) owner: String,
    pub(crate) reason: String,
    pub(crate) scheduler: Option<Name>,
    pub(crate) priority: i32,
    pub(crate) collapses: bool,
    pub(crate) on_disconnect: OnDisconnect,
    pub(crate) properties: Properties,
}

/// A duration in µs, as rows and deadlines hold it.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

impl Engine {
    /// Offers a change to every scheduler. Returns the requests made at once and the names of
    /// the schedulers that hold it.
    pub(crate) fn schedule(&mut self, now: Now, id: ChangeId) -> (Vec<RequestName>, Vec<String>) {
        let settings = self.settings.clone();
        let mut requests = Vec::new();
        let mut holding = Vec::new();
        for scheduler in settings.schedulers.values() {
            let lane = self.durable.change(id).and_then(|change| scheduler.lane(change));
            let Some(lane) = lane else { continue };
            if !self.is_wanted_by(scheduler, &lane, id) {
                continue;
            }
            match scheduler.stable_timer {
                None => requests.extend(self.add_buildset(now, scheduler, &[id])),
                Some(stable) => {
                    self.hold_back(now, scheduler, lane, stable, id);
                    holding.push(scheduler.name.to_string());
                }
            }
        }
        (requests, holding)
    }

    /// Says whether a scheduler does something about a change that is for it: an unimportant one
    /// only goes along with an important one that waits already.
    fn is_wanted_by(&self, scheduler: &Scheduler, lane: &str, id: ChangeId) -> bool {
        let weight = self.durable.change(id).map(|change| scheduler.importance.weigh(change));
        match weight {
            Some(Weight::Important) => true,
            Some(Weight::Passenger) => {
                let key = (scheduler.name.clone(), lane.to_owned());
                self.durable.pending.get(&key).is_some_and(|row| !row.changes.is_empty())
            }
            Some(Weight::Nothing) | None => false,
        }
    }

    fn hold_back(
        &mut self,
        now: Now,
        scheduler: &Scheduler,
        lane: String,
        stable: Duration,
        change: ChangeId,
    ) {
        let key = (scheduler.name.clone(), lane);
        let mut changes =
            self.durable.pending.get(&key).map_or(Vec::new(), |row| row.changes.clone());
        changes.push(change);
        self.durable.hold(change);
        let (scheduler, lane) = key;
        let stable_us = micros(stable);
        self.volatile.arm(
            Deadline::Stable { scheduler: scheduler.clone(), lane: lane.clone() },
            now.boot_us.saturating_add(stable_us),
        );
        self.durable.pending.put(Pending {
            scheduler,
            lane,
            changes,
            armed_us: now.wall_us,
            stable_us,
        });
    }

    /// A stable timer has run out: its changes become a buildset.
    pub(crate) fn stable(&mut self, now: Now, scheduler: &Name, lane: &str) {
        let key = (scheduler.clone(), lane.to_owned());
        let Some(pending) = self.durable.pending.edit(&key) else { return };
        let changes = std::mem::take(&mut pending.changes);
        let settings = self.settings.clone();
        if let Some(scheduler) = settings.schedulers.get(scheduler) {
            self.add_buildset(now, scheduler, &changes);
        }
        for change in changes {
            self.durable.release(change);
        }
    }

    fn add_buildset(
        &mut self,
        now: Now,
        scheduler: &Scheduler,
        changes: &[ChangeId],
    ) -> Vec<RequestName> {
        let buildset = self.durable.next_buildset();
        let owner = self.sender_of(changes);
        let owner = owner.unwrap_or_else(|| format!("scheduler:{}", scheduler.name));
        let source = Source::Scheduler(scheduler.name.clone());
        let make = |builder: &Name| NewRequest {
            scheduler: Some(scheduler.name.clone()),
            priority: scheduler.priority,
            // Of what is cancelled nothing is to be merged.
            collapses: self.collapses(builder) && !scheduler.cancelling.old_builds,
            label: builder.clone(),
            builder: builder.clone(),
            changes: changes.to_vec(),
            owner: owner.clone(),
            reason: format!("scheduler {}", scheduler.name),
            on_disconnect: OnDisconnect::Keep,
            properties: property::from(&source, &scheduler.properties),
        };
        let new: Vec<_> = scheduler.builders.iter().map(make).collect();
        let (ids, made): (Vec<RequestId>, Vec<RequestName>) =
            new.into_iter().map(|new| self.add_request_in(now, buildset, new)).unzip();
        self.admit(now, &ids);
        if scheduler.cancelling.old_builds {
            self.cancel_old_builds(now, scheduler, &made);
        }
        made
    }

    fn collapses(&self, builder: &Name) -> bool {
        self.settings.builders.get(builder).is_some_and(|builder| builder.collapse_requests)
    }

    /// Returns the client who sent all of the changes: it may ask about what came of them.
    fn sender_of(&self, changes: &[ChangeId]) -> Option<String> {
        let mut senders = changes.iter().map(|id| self.durable.change(*id)?.sender());
        let first = senders.next()??;
        senders.all(|sender| sender == Some(first)).then(|| first.to_owned())
    }

    pub(crate) fn add_request(&mut self, now: Now, new: NewRequest) -> RequestName {
        let buildset = self.durable.next_buildset();
        let (id, name) = self.add_request_in(now, buildset, new);
        self.admit(now, &[id]);
        name
    }

    fn add_request_in(
        &mut self,
        now: Now,
        buildset: BuildsetId,
        new: NewRequest,
    ) -> (RequestId, RequestName) {
        let id = self.durable.next_request();
        let name = self.durable.next_name(&new.label);
        let newest = new.changes.last().copied();
        if new.on_disconnect == OnDisconnect::Cancel {
            self.presume_followed(now, id);
        }
        self.durable.add_request(Request {
            id,
            name: name.clone(),
            builder: new.builder,
            buildset,
            change: newest.expect("a request stands for at least one change: its makers pass one"),
            changes: new.changes,
            owner: new.owner,
            reason: new.reason,
            scheduler: new.scheduler,
            priority: new.priority,
            collapses: new.collapses,
            submitted_us: now.wall_us,
            on_disconnect: new.on_disconnect,
            properties: new.properties,
            waits: Waits::default(),
            state: RequestState::Waiting,
        });
        (id, name)
    }
}
