//! The shell of the simulated master: decide, commit, act, with crashes between.

use attempt::{Stamp, ToWorker};
use config::Name;
use engine::{Action, Directive, Engine, Event, Identity, Write};

use super::{INCARNATION, World};
use crate::host::Host;
use crate::mutant::Mutant;

/// How a batch of the master ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Completed,
    /// Nothing of it is on disk.
    CrashedBeforeCommit,
    /// It is on disk, and nothing was done.
    CrashedBeforeAct,
    /// The database refused it; the master goes on without a restart.
    RolledBack,
}

impl World {
    /// One batch: decide, commit, act.
    pub(super) fn take(&mut self, events: Vec<Event>) {
        let fate = match self.rng.below(400) {
            0 if self.has_faults => Fate::CrashedBeforeCommit,
            1 if self.has_faults => Fate::CrashedBeforeAct,
            2 if self.has_faults => Fate::RolledBack,
            _ => Fate::Completed,
        };
        let (writes, actions) = self.decide(&events);
        match fate {
            Fate::CrashedBeforeCommit => {
                if self.mutant == Some(Mutant::ActBeforeCommit) {
                    self.act(actions);
                }
                self.restart();
            }
            Fate::CrashedBeforeAct => {
                self.commit(writes);
                self.restart();
            }
            Fate::RolledBack => {
                self.reload();
                for event in events {
                    let (writes, actions) = self.decide(&[event]);
                    self.commit(writes);
                    self.act(actions);
                }
            }
            Fate::Completed => {
                self.commit(writes);
                self.act(actions);
            }
        }
    }

    pub(super) fn decide(&mut self, events: &[Event]) -> (Vec<Write>, Vec<Action>) {
        let mut writes = Vec::new();
        let mut actions = Vec::new();
        for event in events {
            if let Event::WorkerAttached { worker, stamp, .. } = event
                && !(self.is_let_in(worker, *stamp) && self.attach(worker, *stamp))
            {
                continue;
            }
            let event = self.mutant.map_or(event.clone(), |mutant| mutant.bend(event.clone()));
            let decision = self.engine.handle(self.now, event);
            for write in &decision.writes {
                self.check_touched(write);
                self.check_abandoned(write);
                if self.mutant.is_none() {
                    self.check_granted(write);
                }
            }
            writes.extend(decision.writes);
            actions.extend(decision.actions);
            self.check_no_idling();
            self.check_settled();
        }
        (writes, actions)
    }

    /// Hangs up on a worker that the configuration does not have, unless something of it is needed.
    fn is_let_in(&mut self, worker: &Name, stamp: Stamp) -> bool {
        if self.engine.expects(worker) {
            return true;
        }
        self.hang_up(worker, stamp);
        false
    }

    fn hang_up(&mut self, worker: &Name, stamp: Stamp) {
        let machine = self.machines.get_mut(worker).expect("machines do not go");
        if machine.link == Some(stamp) {
            machine.cut(&mut self.rng);
        }
    }

    /// Introduces a connection, unless a newer one of the same worker came before it.
    pub(super) fn attach(&mut self, worker: &Name, stamp: Stamp) -> bool {
        let newest = self.newest.entry(worker.clone()).or_insert(stamp);
        if *newest > stamp && self.mutant != Some(Mutant::StaleAttach) {
            return false;
        }
        *newest = stamp;
        if let Some(older) = self.links.insert(worker.clone(), stamp)
            && older != stamp
        {
            self.hang_up(worker, older);
        }
        true
    }

    pub(super) fn commit(&mut self, mut writes: Vec<Write>) {
        if let Some(mutant) = self.mutant {
            mutant.spoil_transaction(&mut writes);
        }
        let hosts: Vec<&Host> = self.machines.values().map(|machine| &machine.host).collect();
        self.database.commit(writes, &hosts);
        self.adopt_settings();
    }

    pub(super) fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Answer { ticket, answer } => {
                    self.clients.answered(ticket, &answer, &self.database);
                }
                Action::Send { worker, stamp, directive } => self.send(&worker, stamp, directive),
                Action::SealLog { command, log_bytes } => {
                    self.note_written_off(command);
                    self.seals.insert(command, log_bytes);
                }
                Action::Disowned { command, .. } => {
                    panic!("{command} is not known to the database that made it");
                }
                Action::Dismiss { worker, stamp } => self.hang_up(&worker, stamp),
                Action::RequestChanged { request } => {
                    if self.mutant != Some(Mutant::DeafFollowers) {
                        self.clients.look(request, &self.database);
                    }
                }
            }
        }
    }

    pub(super) fn send(&mut self, worker: &Name, stamp: Stamp, directive: Directive) {
        if let Directive::Start(order) = &directive {
            self.check_properties(order);
        }
        let machine = self.machines.get_mut(worker).expect("only known workers are spoken to");
        match directive {
            Directive::Start(order) => {
                let command = order.command;
                if self.has_faults && self.rng.permille(30) {
                    let why = "no secret".to_owned();
                    let worker = worker.clone();
                    self.unsent.push(Event::Unsent { worker, stamp, command, why });
                    return;
                }
                assert!(self.database.commands.contains_key(&command), "{command} is not stored");
                let first = self.sent.entry(command).or_insert_with(|| worker.clone());
                assert_eq!(first, worker, "{command} was sent to two workers");
                machine.note(&order);
                machine.send(stamp, ToWorker::Start { stamp, command });
            }
            Directive::Stop { command, order } => {
                machine.send(stamp, ToWorker::Stop { stamp, command, order });
            }
            // Nobody drains here.
            Directive::BuildsLeft { .. } => {}
            Directive::FinalAck { command } => {
                machine.send(stamp, ToWorker::FinalAck { stamp, command });
                if self.mutant == Some(Mutant::DoubleStart) {
                    machine.send(stamp, ToWorker::Start { stamp, command });
                }
            }
        }
    }

    /// The master dies and comes back with what is on disk.
    pub(super) fn restart(&mut self) {
        self.epoch += 1;
        self.cut_everyone();
        for machine in self.machines.values_mut() {
            machine.master_died(&mut self.rng);
        }
        self.clients.master_died();
        self.seals.clear();
        self.unsent.clear();
        self.restore();
    }

    /// The master stays and forgets what it did not commit.
    pub(super) fn reload(&mut self) {
        self.cut_everyone();
        self.restore();
        for request in self.clients.following.keys().copied().collect::<Vec<_>>() {
            self.engine.handle(self.now, Event::FollowerCame { request });
        }
    }

    pub(super) fn cut_everyone(&mut self) {
        for (worker, stamp) in std::mem::take(&mut self.links) {
            self.hang_up(&worker, stamp);
        }
    }

    pub(super) fn restore(&mut self) {
        let mut rows = self.database.living();
        if let Some(mutant) = self.mutant {
            mutant.spoil_load(&mut rows);
        }
        let identity = Identity { incarnation: INCARNATION, epoch: self.epoch };
        let (engine, actions) = Engine::restore(self.settings.clone(), identity, rows, self.now);
        self.engine = engine;
        self.act(actions);
    }
}
