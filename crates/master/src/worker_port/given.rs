//! What a worker may speak of: the commands it was given, and no others.
//!
//! The writer of a connection notes each order before it is on the wire, so whatever a worker
//! says in answer finds it here.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use attempt::CommandId;
use proto::message::command;

use crate::core::ToSession;
use crate::wire;

/// The commands of one connection.
#[derive(Debug, Default)]
pub(super) struct Given {
    known: Mutex<BTreeSet<CommandId>>,
}

impl Given {
    /// Begins with what the worker was given on earlier connections.
    pub(super) fn new(known: impl IntoIterator<Item = CommandId>) -> Self {
        Self { known: Mutex::new(known.into_iter().collect()) }
    }

    /// Notes an order that is about to be sent.
    pub(super) fn note(&self, order: &ToSession) {
        let id = |command: command::CommandId| wire::command_from_wire(command);
        match order {
            ToSession::Start(start) => drop(self.lock().insert(id(start.command))),
            ToSession::FinalAck(ack) => drop(self.lock().remove(&id(ack.command))),
            ToSession::Stop(_) | ToSession::BuildsLeft(_) => {}
        }
    }

    pub(super) fn has(&self, command: CommandId) -> bool {
        self.lock().contains(&command)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<CommandId>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
