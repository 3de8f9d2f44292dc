//! The worker's half: every command it has, and which messages it still believes.
//!
//! Its durable memory is the spool. `Worker` is rebuilt from it with `recover` before the first
//! connection.

use std::collections::BTreeMap;

use crate::forgotten::Forgotten;
use crate::{CommandId, Outcome, Properties, Stamp, StopOrder, ToMaster, ToWorker, View};

/// What the spool says about a command after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It provably never ran: whatever is left of it can go.
    NeverRan,
    /// Its shim lives.
    Alive,
    Ended {
        outcome: Outcome,
        log_bytes: u64,
        properties: Option<Properties>,
    },
}

/// What happened on this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A master accepted the connection.
    Welcomed(Stamp),
    Disconnected,
    Message(ToWorker),
    /// The command's process exists.
    Started(CommandId),
    /// The command's end is in the spool.
    Ended {
        command: CommandId,
        outcome: Outcome,
        log_bytes: u64,
        properties: Option<Properties>,
    },
    /// The log of a command that has ended turned out to hold only so much.
    LogTorn {
        command: CommandId,
        log_bytes: u64,
    },
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Store this epoch durably before anything else that follows.
    RememberEpoch(i64),
    /// The master is older than one already seen: leave it.
    RefuseMaster {
        seen: i64,
    },
    /// Make the spool entry and start the shim.
    Run(CommandId),
    /// Connect to the living shim.
    Adopt(CommandId),
    Stop(CommandId, StopOrder),
    /// Remove the spool entry.
    Delete(CommandId),
    Send(ToMaster),
}

const CANCELLED: View = View::Ended { outcome: Outcome::Cancelled, log_bytes: 0, properties: None };

/// The worker's half of all its commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    highest_epoch: i64,
    link: Option<Stamp>,
    commands: BTreeMap<CommandId, View>,
    /// Forgotten within this connection: a doubled START must not run them again.
    forgotten: Forgotten,
}

impl Worker {
    /// Rebuilds the half from the highest epoch stored and what the spool holds.
    pub fn recover(
        highest_epoch: i64,
        spool: impl IntoIterator<Item = (CommandId, Found)>,
    ) -> (Self, Vec<Output>) {
        let mut commands = BTreeMap::new();
        let mut outputs = Vec::new();
        for (command, found) in spool {
            match found {
                Found::NeverRan => outputs.push(Output::Delete(command)),
                Found::Alive => {
                    commands.insert(command, View::Running);
                    outputs.push(Output::Adopt(command));
                }
                Found::Ended { outcome, log_bytes, properties } => {
                    commands.insert(command, View::Ended { outcome, log_bytes, properties });
                }
            }
        }
        (Self { highest_epoch, link: None, commands, forgotten: Forgotten::default() }, outputs)
    }

    /// Returns every command with its state: what the worker tells when it attaches.
    pub fn report(&self) -> Vec<ToMaster> {
        self.commands
            .iter()
            .map(|(command, view)| ToMaster { command: *command, view: view.clone() })
            .collect()
    }

    /// Returns how many commands have not ended.
    pub fn running(&self) -> usize {
        self.commands.values().filter(|view| matches!(view, View::Running)).count()
    }

    /// Says whether this is the connection of now.
    pub fn is_current(&self, stamp: Stamp) -> bool {
        self.link == Some(stamp)
    }

    /// Takes an event and says what follows.
    pub fn handle(&mut self, input: Input) -> Vec<Output> {
        match input {
            Input::Welcomed(stamp) => self.welcomed(stamp),
            Input::Disconnected => {
                self.link = None;
                Vec::new()
            }
            Input::Message(message) => self.message(message),
            Input::Started(command) => self.started(command),
            Input::Ended { command, outcome, log_bytes, properties } => {
                self.ended(command, View::Ended { outcome, log_bytes, properties })
            }
            Input::LogTorn { command, log_bytes } => self.log_torn(command, log_bytes),
        }
    }

    fn welcomed(&mut self, stamp: Stamp) -> Vec<Output> {
        if stamp.epoch < self.highest_epoch {
            return vec![Output::RefuseMaster { seen: self.highest_epoch }];
        }
        self.link = Some(stamp);
        self.forgotten.clear();
        if stamp.epoch == self.highest_epoch {
            return Vec::new();
        }
        self.highest_epoch = stamp.epoch;
        vec![Output::RememberEpoch(stamp.epoch)]
    }

    fn message(&mut self, message: ToWorker) -> Vec<Output> {
        let stamp = match message {
            ToWorker::Start { stamp, .. }
            | ToWorker::Stop { stamp, .. }
            | ToWorker::FinalAck { stamp, .. } => stamp,
        };
        if self.link != Some(stamp) {
            return Vec::new();
        }
        match message {
            ToWorker::Start { command, .. } => self.start(command),
            ToWorker::Stop { command, order, .. } => self.stop(command, order),
            ToWorker::FinalAck { command, .. } => self.forget(command),
        }
    }

    fn start(&mut self, command: CommandId) -> Vec<Output> {
        if let Some(view) = self.commands.get(&command) {
            return vec![Output::Send(ToMaster { command, view: view.clone() })];
        }
        if self.forgotten.contains(command) {
            return Vec::new();
        }
        self.commands.insert(command, View::Running);
        vec![Output::Run(command)]
    }

    fn stop(&mut self, command: CommandId, order: StopOrder) -> Vec<Output> {
        match self.commands.get(&command) {
            Some(View::Running) => vec![Output::Stop(command, order)],
            Some(view @ View::Ended { .. }) => {
                vec![Output::Send(ToMaster { command, view: view.clone() })]
            }
            None if self.forgotten.contains(command) => Vec::new(),
            // A stop that overtook its start: the answer is final, so the start finds an end.
            None => self.ended(command, CANCELLED),
        }
    }

    fn forget(&mut self, command: CommandId) -> Vec<Output> {
        if !matches!(self.commands.get(&command), Some(View::Ended { .. })) {
            return Vec::new();
        }
        self.commands.remove(&command);
        self.forgotten.insert(command);
        vec![Output::Delete(command)]
    }

    fn started(&mut self, command: CommandId) -> Vec<Output> {
        match self.commands.get(&command) {
            Some(View::Running) => self.tell(command, View::Running),
            Some(View::Ended { .. }) | None => Vec::new(),
        }
    }

    fn ended(&mut self, command: CommandId, view: View) -> Vec<Output> {
        self.commands.insert(command, view.clone());
        self.tell(command, view)
    }

    /// Says again how a command ended, with what is left of its log.
    fn log_torn(&mut self, command: CommandId, left: u64) -> Vec<Output> {
        match self.commands.get_mut(&command) {
            Some(View::Ended { log_bytes, .. }) if left < *log_bytes => *log_bytes = left,
            Some(View::Running | View::Ended { .. }) | None => return Vec::new(),
        }
        let view = self.commands.get(&command).cloned();
        view.map(|view| self.tell(command, view)).unwrap_or_default()
    }

    fn tell(&self, command: CommandId, view: View) -> Vec<Output> {
        let message = Output::Send(ToMaster { command, view });
        self.link.map(|_| message).into_iter().collect()
    }
}
