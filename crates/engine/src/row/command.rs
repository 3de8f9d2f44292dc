//! A command: one process for a step, somewhere, at most once.

use attempt::CommandId;
use attempt::master::State;
use config::Name;

use crate::id::BuildId;
use crate::lock::Claim;
use crate::table::Row;

/// One attempt at a step, with the master's half of its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub half: attempt::master::Command,
    pub build: BuildId,
    /// Index into the plan's steps.
    pub step: u32,
    /// Counts the build's commands from 0; followers name places in the output by it.
    pub part: u32,
    /// 1 for the first attempt at the step.
    pub attempt: u32,
    pub worker: Name,
    /// Its build's place on the worker.
    pub slot: u32,
    /// What its build and its step hold: it keeps them while it may run.
    pub locks: Vec<Claim>,
    pub assigned_us: i64,
    pub began_us: Option<i64>,
    pub ended_us: Option<i64>,
}

impl Command {
    /// Returns the command's id.
    pub fn id(&self) -> CommandId {
        self.half.id
    }
}

impl Row for Command {
    type Key = CommandId;

    fn key(&self) -> CommandId {
        self.half.id
    }

    fn is_alive(&self) -> bool {
        !matches!(self.half.state, State::Sealed { .. })
    }
}
