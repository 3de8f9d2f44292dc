//! Takes another configuration in.
//!
//! **Invariants**
//! - Nothing of a running build changes: it has its plan, its place and its revision.
//! - `settle` changes nothing where it was done before, and needs only the rows and the settings.
//!   So a start with another configuration does what a reload does.

use std::collections::BTreeMap;
use std::sync::Arc;

use attempt::StopOrder;
use config::Name;

use crate::decision::Answer;
use crate::engine::Engine;
use crate::event::Ticket;
use crate::id::ChangeId;
use crate::row::{Pending, Revision};
use crate::schedule::micros;
use crate::scheduler::{Scheduler, Weight};
use crate::settings::Settings;
use crate::time::Now;
use crate::volatile::Deadline;

/// The lanes of a scheduler, with what waits in each.
type Lanes = BTreeMap<String, Pending>;

impl Engine {
    pub(crate) fn reconfigured(
        &mut self,
        now: Now,
        ticket: Ticket,
        settings: Arc<Settings>,
        revision: Option<Revision>,
    ) {
        if let Some(revision) = revision {
            self.durable.keep_revision(revision);
        }
        self.take_settings(now, settings);
        self.answer(ticket, Answer::Reconfigured);
    }

    pub(crate) fn take_settings(&mut self, now: Now, settings: Arc<Settings>) {
        self.settings = settings;
        let attached = self.volatile.workers.keys();
        let strangers = attached.filter(|worker| !self.settings.knows_worker(worker));
        self.volatile.strangers = strangers.cloned().collect();
        for worker in self.volatile.workers.keys().cloned().collect::<Vec<_>>() {
            self.judge(&worker);
        }
        self.settle(now);
    }

    /// Draws from the rows what the settings mean for what waits.
    pub(crate) fn settle(&mut self, now: Now) {
        self.volatile.disarm(&Deadline::Settle);
        for builder in self.unknown_builders() {
            self.cancel_queue(now, &builder);
        }
        for (scheduler, held) in self.held() {
            let lanes = self.lanes(&scheduler, &held);
            self.rearrange(now, &held, &lanes);
        }
    }

    /// Says whether `settle` has nothing to do with what waits.
    pub(crate) fn is_settled(&self) -> bool {
        let in_place = |(scheduler, held): (&Name, &Vec<Pending>)| {
            let lanes = self.lanes(scheduler, held);
            lanes.len() == held.len() && held.iter().all(|row| lanes.get(&row.lane) == Some(row))
        };
        self.unknown_builders().is_empty() && self.held().iter().all(in_place)
    }

    /// Returns the builders for which something waits and that nobody knows any more.
    fn unknown_builders(&self) -> Vec<Name> {
        let waiting = self.durable.index().waiting_builders();
        waiting.filter(|builder| !self.settings.builders.contains_key(*builder)).cloned().collect()
    }

    fn cancel_queue(&mut self, now: Now, builder: &Name) {
        let reason = format!("builder {builder} is no longer in the configuration");
        // What was merged into one that is cancelled waits in its stead.
        while let Some((_, request)) = self.durable.index().head(builder) {
            self.stop_request(now, request, reason.clone(), StopOrder::KILL);
        }
    }

    /// Returns what schedulers hold back.
    fn held(&self) -> BTreeMap<Name, Vec<Pending>> {
        let mut held: BTreeMap<Name, Vec<Pending>> = BTreeMap::new();
        for row in self.durable.pending.iter().filter(|row| !row.changes.is_empty()) {
            held.entry(row.scheduler.clone()).or_default().push(row.clone());
        }
        held
    }

    /// Returns where the changes that a scheduler holds belong by the rules it has now.
    fn lanes(&self, scheduler: &Name, held: &[Pending]) -> Lanes {
        let Some(scheduler) = self.settings.schedulers.get(scheduler) else { return Lanes::new() };
        let each = held.iter().flat_map(|row| row.changes.iter().map(|id| (*id, row.armed_us)));
        let mut changes: Vec<(ChangeId, i64)> = each.collect();
        changes.sort_unstable();
        let mut lanes = Lanes::new();
        for (id, armed_us) in changes {
            self.put_in_lane(scheduler, id, armed_us, &mut lanes);
        }
        lanes
    }

    fn put_in_lane(&self, scheduler: &Scheduler, id: ChangeId, armed_us: i64, lanes: &mut Lanes) {
        let Some(change) = self.durable.change(id) else { return };
        let Some(lane) = scheduler.lane(change) else { return };
        let is_wanted = match scheduler.importance.weigh(change) {
            Weight::Important => true,
            Weight::Passenger => lanes.contains_key(&lane),
            Weight::Nothing => false,
        };
        if !is_wanted {
            return;
        }
        let row = lanes.entry(lane.clone()).or_insert_with(|| Pending {
            scheduler: scheduler.name.clone(),
            lane,
            changes: Vec::new(),
            armed_us,
            // Without a timer there is nothing to wait for.
            stable_us: scheduler.stable_timer.map_or(0, micros),
        });
        row.changes.push(id);
        row.armed_us = row.armed_us.max(armed_us);
    }

    /// Brings what a scheduler holds from the lanes where it is to those where it belongs.
    fn rearrange(&mut self, now: Now, held: &[Pending], lanes: &Lanes) {
        let in_place = |row: &Pending| held.contains(row);
        for row in lanes.values().filter(|row| !in_place(row)) {
            row.changes.iter().for_each(|change| self.durable.hold(*change));
            self.volatile.arm_stable(now, row);
            self.durable.pending.put(row.clone());
        }
        for row in held.iter().filter(|row| lanes.get(&row.lane) != Some(row)) {
            row.changes.iter().for_each(|change| self.durable.release(*change));
            if !lanes.contains_key(&row.lane) {
                self.empty_lane(row);
            }
        }
    }

    fn empty_lane(&mut self, row: &Pending) {
        let (scheduler, lane) = (row.scheduler.clone(), row.lane.clone());
        if let Some(row) = self.durable.pending.edit(&(scheduler.clone(), lane.clone())) {
            row.changes.clear();
        }
        self.volatile.disarm(&Deadline::Stable { scheduler, lane });
    }
}
