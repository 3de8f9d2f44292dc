//! A model of a worker's machine for the simulations: a spool, supervisors, and the daemon built
//! on the real `attempt::worker::Worker`. Shared by the test of this crate and by the engine's
//! simulator.
//!
//! What survives what: the spool survives the daemon and a reboot; supervisors survive the daemon;
//! what the daemon was asked and did not hand on yet survives nothing. Executions are witnessed
//! from outside and survive everything.

pub(crate) mod rng;

use std::collections::BTreeMap;

use attempt::worker::{Found, Input, Output, Worker};
use attempt::{
    CommandId, LostReason, Outcome, Place, Properties, Stamp, StopOrder, ToMaster, ToWorker,
};

/// How far a command's supervisor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The spool entry is there, the gate is closed.
    Prepared,
    /// The gate was opened: it runs.
    Running,
    /// Its end is in the spool, with what it left.
    Ended(Outcome, Option<Properties>),
}

/// What the daemon has said of a command to its worker's half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Started,
    Ended,
}

/// A command in the spool.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) stage: Stage,
    /// The supervisor holds the lock.
    pub(crate) is_supervised: bool,
    /// What was written to the log, in bytes.
    pub(crate) log_bytes: u64,
    /// The supervisor was told to end it.
    pub(crate) is_stopped: bool,
    boot: u64,
    /// Its end survives a power cut. That of a silent command is told before it does.
    is_synced: bool,
    /// The daemon was told to end it.
    asked: Option<StopOrder>,
    told: Told,
}

/// What really happened, seen from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness {
    pub(crate) executions: BTreeMap<CommandId, u32>,
    pub(crate) ends: BTreeMap<CommandId, Outcome>,
    pub(crate) left: BTreeMap<CommandId, Properties>,
}

/// The machine.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    name: String,
    boot: u64,
    spool_number: u64,
    stored_epoch: i64,
    pub(crate) spool: BTreeMap<CommandId, Entry>,
    pub(crate) daemon: Option<Worker>,
    pub(crate) witness: Witness,
    /// Entries that left the spool on the master's word, with the length of their logs.
    pub(crate) deleted: Vec<(CommandId, u64)>,
}

impl Host {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            boot: 1,
            spool_number: 1,
            stored_epoch: 0,
            spool: BTreeMap::new(),
            daemon: None,
            witness: Witness::default(),
            deleted: Vec::new(),
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            boot_id: format!("{}-boot-{}", self.name, self.boot),
            spool_id: format!("{}-spool-{}", self.name, self.spool_number),
        }
    }

    /// Returns the highest epoch the machine remembers.
    #[allow(dead_code, reason = "not every simulation asks")]
    pub(crate) fn stored_epoch(&self) -> i64 {
        self.stored_epoch
    }

    /// Starts the daemon: it reads the spool and adopts what lives.
    pub(crate) fn start_daemon(&mut self) {
        let boot = self.boot;
        let found: Vec<_> = self.spool.iter().map(|(id, entry)| (*id, entry.found(boot))).collect();
        for entry in self.spool.values_mut() {
            entry.asked = None;
            entry.told = Told::Nothing;
        }
        for (id, found) in &found {
            if let (Some(entry), Found::Ended { .. }) = (self.spool.get_mut(id), found) {
                entry.told = Told::Ended;
            }
        }
        let (worker, outputs) = Worker::recover(self.stored_epoch, found);
        self.daemon = Some(worker);
        let said = self.perform(outputs);
        assert!(said.is_empty(), "a recovering worker has nobody to talk to: {said:?}");
        self.deleted.clear();
    }

    pub(crate) fn kill_daemon(&mut self) {
        self.daemon = None;
    }

    pub(crate) fn reboot(&mut self) {
        self.daemon = None;
        self.boot += 1;
        for entry in self.spool.values_mut() {
            entry.is_supervised = false;
            if matches!(entry.stage, Stage::Ended(..)) && !entry.is_synced {
                entry.stage = Stage::Running;
            }
        }
    }

    /// Loses the spool with all it held, the highest epoch included. Commands may go on unseen.
    pub(crate) fn lose_spool(&mut self) {
        self.daemon = None;
        self.spool_number += 1;
        self.stored_epoch = 0;
        self.spool.clear();
    }

    pub(crate) fn kill_supervisor(&mut self, command: CommandId) {
        if let Some(entry) = self.spool.get_mut(&command) {
            entry.is_supervised = false;
        }
    }

    /// A master welcomed the daemon. Says whether the daemon stays, and what it reports.
    pub(crate) fn welcomed(&mut self, stamp: Stamp) -> Option<Vec<ToMaster>> {
        let outputs = self.daemon.as_mut()?.handle(Input::Welcomed(stamp));
        for output in &outputs {
            match output {
                Output::RememberEpoch(epoch) => self.stored_epoch = *epoch,
                Output::RefuseMaster { .. } => return None,
                Output::Run(_)
                | Output::Adopt(_)
                | Output::Stop(..)
                | Output::Delete(_)
                | Output::Send(_) => panic!("a welcome does not lead to {output:?}"),
            }
        }
        Some(self.daemon.as_ref()?.report())
    }

    /// The connection is gone.
    pub(crate) fn disconnected(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.handle(Input::Disconnected);
        }
    }

    /// A message arrived. Returns what the daemon sends.
    pub(crate) fn receive(&mut self, message: ToWorker) -> Vec<ToMaster> {
        self.input(Input::Message(message))
    }

    /// Opens the gate of a prepared command, or goes on with a running one. `end` ends it, with what
    /// it leaves.
    pub(crate) fn supervise(
        &mut self,
        command: CommandId,
        wrote: u64,
        end: Option<(Outcome, Option<Properties>)>,
    ) {
        let Some(entry) = self.spool.get_mut(&command) else { return };
        if let Stage::Ended(..) = entry.stage {
            entry.is_synced = true;
        }
        if !entry.is_supervised {
            return;
        }
        match (&entry.stage, end) {
            (Stage::Prepared, _) => {
                entry.stage = Stage::Running;
                *self.witness.executions.entry(command).or_default() += 1;
            }
            (Stage::Running, None) => entry.log_bytes += wrote,
            (Stage::Running, Some((end, left))) => {
                entry.log_bytes += wrote;
                entry.stage = Stage::Ended(end.clone(), left.clone());
                entry.is_synced = entry.log_bytes > 0;
                entry.is_supervised = false;
                self.witness.ends.insert(command, end);
                self.witness.left.extend(left.map(|left| (command, left)));
            }
            (Stage::Ended(..), _) => {}
        }
    }

    /// The daemon looks at a command: hands a stop on, hears that it started or ended.
    pub(crate) fn watch(&mut self, command: CommandId) -> Vec<ToMaster> {
        let Some(entry) = self.spool.get_mut(&command) else { return Vec::new() };
        if self.daemon.is_none() {
            return Vec::new();
        }
        if entry.is_supervised && entry.asked.take().is_some() {
            entry.is_stopped = true;
            return Vec::new();
        }
        if entry.told == Told::Nothing && entry.is_supervised && entry.stage == Stage::Running {
            entry.told = Told::Started;
            return self.input(Input::Started(command));
        }
        if entry.told == Told::Ended || entry.is_supervised {
            return Vec::new();
        }
        entry.told = Told::Ended;
        let ended = match entry.found(self.boot) {
            Found::Alive => return Vec::new(),
            Found::NeverRan => {
                let outcome = Outcome::NotStarted("its supervisor did not start".to_owned());
                Input::Ended { command, outcome, log_bytes: 0, properties: None }
            }
            Found::Ended { outcome, log_bytes, properties } => {
                Input::Ended { command, outcome, log_bytes, properties }
            }
        };
        self.input(ended)
    }

    fn input(&mut self, input: Input) -> Vec<ToMaster> {
        let Some(daemon) = &mut self.daemon else { return Vec::new() };
        let outputs = daemon.handle(input);
        self.perform(outputs)
    }

    fn perform(&mut self, outputs: Vec<Output>) -> Vec<ToMaster> {
        let mut said = Vec::new();
        for output in outputs {
            match output {
                Output::Run(command) => said.extend(self.run(command)),
                Output::Adopt(_) | Output::RememberEpoch(_) | Output::RefuseMaster { .. } => {}
                Output::Stop(command, order) => {
                    if let Some(entry) = self.spool.get_mut(&command) {
                        entry.asked = Some(order);
                    }
                }
                Output::Delete(command) => {
                    if let Some(entry) = self.spool.remove(&command) {
                        self.deleted.push((command, entry.log_bytes));
                    }
                }
                Output::Send(report) => said.push(report),
            }
        }
        said
    }

    fn run(&mut self, command: CommandId) -> Vec<ToMaster> {
        if self.spool.contains_key(&command) {
            // Its entry is there, so it may have run.
            let outcome = Outcome::Lost(LostReason::Supervisor);
            return self.input(Input::Ended { command, outcome, log_bytes: 0, properties: None });
        }
        let entry = Entry {
            stage: Stage::Prepared,
            is_supervised: true,
            log_bytes: 0,
            is_stopped: false,
            boot: self.boot,
            is_synced: false,
            asked: None,
            told: Told::Nothing,
        };
        self.spool.insert(command, entry);
        Vec::new()
    }
}

impl Entry {
    fn found(&self, boot: u64) -> Found {
        let log_bytes = self.log_bytes;
        match &self.stage {
            Stage::Ended(outcome, properties) => {
                let (outcome, properties) = (outcome.clone(), properties.clone());
                Found::Ended { outcome, log_bytes, properties }
            }
            Stage::Prepared | Stage::Running if self.is_supervised => Found::Alive,
            Stage::Prepared => Found::NeverRan,
            Stage::Running => {
                let is_rebooted = self.boot != boot;
                let reason = if is_rebooted { LostReason::Reboot } else { LostReason::Supervisor };
                Found::Ended { outcome: Outcome::Lost(reason), log_bytes, properties: None }
            }
        }
    }
}
