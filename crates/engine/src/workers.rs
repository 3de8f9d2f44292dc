//! Workers come, report and go.

use std::collections::BTreeMap;

use attempt::master::{self, Input};
use attempt::{CommandId, Stamp, ToMaster, ToWorker, View};
use config::{Name, Value};

use crate::decision::{Action, Directive, Fate};
use crate::engine::Engine;
use crate::event::Readiness;
use crate::table::Row as _;
use crate::time::Now;
use crate::volatile::Attached;

impl Engine {
    pub(crate) fn worker_attached(
        &mut self,
        now: Now,
        worker: &Name,
        attached: Attached,
        reported: &[ToMaster],
    ) {
        let (stamp, place) = (attached.stamp, attached.place.clone());
        self.volatile.come(worker, attached);
        if !self.settings.knows_worker(worker) {
            self.volatile.strangers.insert(worker.clone());
        }
        self.judge(worker);
        for id in self.commands_of(worker) {
            let view = reported.iter().find(|report| report.command == id).map(|r| &r.view);
            self.drive(now, id, Input::Attached { place: &place, view });
        }
        for report in reported {
            self.disown_if_unknown(worker, stamp, report);
        }
        self.note_unknown(worker, reported);
        self.resume_builds(now, worker);
    }

    pub(crate) fn worker_lost(&mut self, now: Now, worker: &Name, stamp: Stamp) {
        if self.is_current(worker, stamp) {
            self.volatile.leave(now, worker);
        }
    }

    pub(crate) fn worker_readiness(&mut self, worker: &Name, stamp: Stamp, readiness: Readiness) {
        if !self.is_current(worker, stamp) {
            return;
        }
        if let Some(attached) = self.volatile.workers.get_mut(worker) {
            attached.readiness = readiness;
            attached.told_left = None;
        }
    }

    pub(crate) fn worker_probed(
        &mut self,
        worker: &Name,
        stamp: Stamp,
        probes: BTreeMap<String, Value>,
    ) {
        if !self.is_current(worker, stamp) {
            return;
        }
        if let Some(attached) = self.volatile.workers.get_mut(worker) {
            attached.facts.probes = probes;
        }
        self.judge(worker);
    }

    /// Tells draining workers how many builds they have, whenever that has changed: none is
    /// their leave to go.
    pub(crate) fn tell_what_is_left(&mut self) {
        for (worker, attached) in &mut self.volatile.workers {
            if attached.readiness == Readiness::Ready {
                continue;
            }
            let left = self.durable.slots(worker).map_or(0, BTreeMap::len);
            let builds = u32::try_from(left).unwrap_or(u32::MAX);
            if attached.told_left != Some(builds) {
                attached.told_left = Some(builds);
                let directive = Directive::BuildsLeft { builds };
                let (worker, stamp) = (worker.clone(), attached.stamp);
                self.actions.push(Action::Send { worker, stamp, directive });
            }
        }
    }

    /// Sends workers away that the configuration no longer has, once nothing of them is needed.
    pub(crate) fn dismiss_strangers(&mut self, now: Now) {
        let idle = self.volatile.strangers.iter().filter(|worker| !self.has_work(worker));
        for worker in idle.cloned().collect::<Vec<_>>() {
            if let Some(attached) = self.volatile.workers.get(&worker) {
                let stamp = attached.stamp;
                self.volatile.leave(now, &worker);
                self.actions.push(Action::Dismiss { worker, stamp });
            }
        }
    }

    /// Says whether a worker may come: the configuration has it, or something of it is needed.
    pub fn expects(&self, worker: &Name) -> bool {
        self.settings.knows_worker(worker) || self.has_work(worker)
    }

    fn has_work(&self, worker: &Name) -> bool {
        let mut commands = self.durable.commands();
        self.durable.slots(worker).is_some()
            || commands.any(|command| command.worker == *worker && command.is_alive())
    }

    pub(crate) fn reported(&mut self, now: Now, worker: &Name, stamp: Stamp, report: &ToMaster) {
        if !self.is_current(worker, stamp) {
            return;
        }
        match self.durable.commands.get(&report.command) {
            Some(command) if command.worker == *worker => {
                self.drive(now, report.command, Input::Reported(&report.view));
            }
            // Another worker's command: nothing it says about it counts.
            Some(_) => {}
            None => self.disown_if_unknown(worker, stamp, report),
        }
    }

    /// Takes a command as ended that could not be sent. After another connection it is not known
    /// to be so: there it is asked for again.
    pub(crate) fn unsent(
        &mut self,
        now: Now,
        worker: &Name,
        stamp: Stamp,
        command: CommandId,
        why: &str,
    ) {
        let is_its = self.durable.commands.get(&command).is_some_and(|it| it.worker == *worker);
        if is_its && self.is_current(worker, stamp) {
            self.drive(now, command, Input::Unsent(why));
        }
    }

    pub(crate) fn log_sealed(&mut self, now: Now, command: CommandId) {
        self.drive(now, command, Input::LogSealed);
    }

    /// Notes what a worker came with that runs and that nobody here knows.
    fn note_unknown(&mut self, worker: &Name, reported: &[ToMaster]) {
        let unknown = reported.iter().filter(|report| {
            report.view == View::Running && self.durable.commands.get(&report.command).is_none()
        });
        let unknown = unknown.map(|report| report.command).collect();
        if let Some(attached) = self.volatile.workers.get_mut(worker) {
            attached.unknown = unknown;
        }
    }

    /// Says whether something runs on a worker that nobody here knows, and that is told to end.
    pub fn has_unknown_commands(&self, worker: &Name) -> bool {
        let attached = self.volatile.workers.get(worker);
        attached.is_some_and(|attached| !attached.unknown.is_empty())
    }

    fn is_current(&self, worker: &Name, stamp: Stamp) -> bool {
        self.volatile.workers.get(worker).is_some_and(|attached| attached.stamp == stamp)
    }

    pub(crate) fn commands_of(&self, worker: &Name) -> Vec<CommandId> {
        let commands = self.durable.commands().filter(|command| command.worker == *worker);
        commands.map(|command| command.id()).collect()
    }

    /// A command that is not in the living state was sealed, or belongs to another database.
    fn disown_if_unknown(&mut self, worker: &Name, stamp: Stamp, report: &ToMaster) {
        if self.durable.commands.get(&report.command).is_some() {
            return;
        }
        let (directive, fate) = match master::disown(report.command, &report.view, stamp) {
            ToWorker::Stop { command, order, .. } => {
                (Directive::Stop { command, order }, Fate::Killed)
            }
            ToWorker::FinalAck { command, .. } => {
                (Directive::FinalAck { command }, Fate::Discarded)
            }
            ToWorker::Start { .. } => return,
        };
        if let (Fate::Discarded, Some(attached)) = (fate, self.volatile.workers.get_mut(worker)) {
            attached.unknown.remove(&report.command);
        }
        // One of this incarnation was sealed, and the report of it came late.
        if report.command.incarnation != self.identity.incarnation {
            let (worker, command) = (worker.clone(), report.command);
            self.actions.push(Action::Disowned { worker, command, fate });
        }
        self.actions.push(Action::Send { worker: worker.clone(), stamp, directive });
    }
}
