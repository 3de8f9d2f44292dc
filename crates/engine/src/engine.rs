//! The engine: one event in, one decision out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use attempt::Stamp;
use config::Name;

use crate::decision::{Action, Answer, Decision, Refusal};
use crate::durable::{Durable, Identity};
use crate::event::{Event, Readiness, Ticket};
use crate::settings::Settings;
use crate::time::Now;
use crate::volatile::{Attached, Deadline, Volatile};

/// The domain's state and rules. See the crate's documentation for the invariants.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) settings: Arc<Settings>,
    pub(crate) identity: Identity,
    pub(crate) durable: Durable,
    pub(crate) volatile: Volatile,
    pub(crate) actions: Vec<Action>,
}

impl Engine {
    /// Takes one event and decides. The writes of the decision have to be committed before its
    /// actions are performed.
    pub fn handle(&mut self, now: Now, event: Event) -> Decision {
        if event != Event::Due {
            self.volatile.audience.stir();
        }
        match event {
            Event::Submitted { ticket, submission } => self.submitted(now, ticket, submission),
            Event::Polled { ticket, source, heads, changes } => {
                self.polled(now, ticket, source, heads, changes);
            }
            Event::Due => self.due(now),
            Event::WorkerAttached {
                worker,
                stamp,
                place,
                max_builds,
                commands,
                readiness,
                facts,
            } => {
                let attached = Attached {
                    stamp,
                    place,
                    max_builds,
                    readiness,
                    facts,
                    unfit: BTreeMap::new(),
                    unknown: BTreeSet::new(),
                    told_left: None,
                };
                self.worker_attached(now, &worker, attached, &commands);
            }
            Event::WorkerReadiness { worker, stamp, readiness } => {
                self.worker_readiness(&worker, stamp, readiness);
            }
            Event::WorkerProbed { worker, stamp, probes } => {
                self.worker_probed(&worker, stamp, probes);
            }
            Event::WorkerLost { worker, stamp } => self.worker_lost(now, &worker, stamp),
            Event::Reported { worker, stamp, report } => {
                self.reported(now, &worker, stamp, &report);
            }
            Event::Unsent { worker, stamp, command, why } => {
                self.unsent(now, &worker, stamp, command, &why);
            }
            Event::LogSealed { command } => self.log_sealed(now, command),
            Event::StopWanted { ticket, request, reason, order, scope } => {
                self.stop_wanted(now, ticket, request, reason, order, scope);
            }
            Event::PriorityWanted { ticket, request, priority } => {
                self.priority_wanted(ticket, request, priority);
            }
            Event::GiveUpWanted { ticket, abandoned, reason } => {
                self.give_up_wanted(now, ticket, &abandoned, &reason);
            }
            Event::Reconfigured { ticket, settings, revision } => {
                self.reconfigured(now, ticket, settings, revision);
            }
            Event::FollowerCame { request } => self.follower_came(request),
            Event::FollowerLeft { request, departure } => {
                self.follower_left(now, request, departure);
            }
        }
        self.dispatch(now);
        self.watch_waits(now);
        self.tell_audience(now);
        self.tell_what_is_left();
        self.dismiss_strangers(now);
        Decision { writes: self.durable.drain(), actions: std::mem::take(&mut self.actions) }
    }

    /// Returns when, on boot time, the engine wants `Event::Due`.
    pub fn deadline(&self) -> Option<i64> {
        self.volatile.next_due()
    }

    /// Returns the durable state, for questions and for the checks of the simulator.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Returns the settings in force.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Returns the connection of a worker and how many builds it takes, if it is attached.
    pub fn attached(&self, worker: &Name) -> Option<(Stamp, u32)> {
        let attached = self.volatile.workers.get(worker)?;
        Some((attached.stamp, self.capacity(worker)))
    }

    /// Says whether an attached worker takes new builds.
    pub fn readiness(&self, worker: &Name) -> Option<Readiness> {
        self.volatile.workers.get(worker).map(|attached| attached.readiness)
    }

    fn due(&mut self, now: Now) {
        while let Some(deadline) = self.volatile.take_due(now.boot_us) {
            if !matches!(deadline, Deadline::Look | Deadline::Waits) {
                self.volatile.audience.stir();
            }
            match deadline {
                Deadline::Settle => self.settle(now),
                Deadline::Look => {}
                Deadline::Waits => self.look_at_waits(now),
                Deadline::Stable { scheduler, lane } => self.stable(now, &scheduler, &lane),
                Deadline::Unfollowed(request) => self.unfollowed(now, request),
            }
        }
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.actions.push(Action::Answer { ticket, answer });
    }

    pub(crate) fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        self.answer(ticket, Answer::Refused(refusal));
    }
}
