//! What the spool says after a restart.

use attempt::worker::{Found, Output, Worker};
use attempt::{CommandId, LostReason, Outcome, Properties};
use failpoint::Act;
use shim::{SpoolError, SpoolRoot};
use tracing::{error, info, warn};

use super::tails::{Tail, Tails, live_bytes};

/// The worker's half, as it was before the restart, and what to do first.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(super) worker: Worker,
    pub(super) outputs: Vec<Output>,
    pub(super) tails: Tails,
}

/// Translates an id to the spool's.
pub(crate) fn spool_id(command: CommandId) -> shim::CommandId {
    let counter = u64::from_ne_bytes(command.counter.to_ne_bytes());
    shim::CommandId((u128::from(command.incarnation) << 64) | u128::from(counter))
}

fn from_spool_id(id: shim::CommandId) -> CommandId {
    let bytes = id.0.to_be_bytes();
    let (mut incarnation, mut counter) = ([0; 8], [0; 8]);
    incarnation.copy_from_slice(&bytes[..8]);
    counter.copy_from_slice(&bytes[8..]);
    CommandId { incarnation: u64::from_be_bytes(incarnation), counter: i64::from_be_bytes(counter) }
}

/// Reads the whole spool. Kills what supervisors left behind that are gone, which may take
/// seconds.
///
/// # Errors
/// When the spool cannot be read.
pub(crate) fn recover(spool: &SpoolRoot) -> Result<Recovered, SpoolError> {
    let mut tails = Tails::new();
    let mut commands = Vec::new();
    for id in spool.list()? {
        let command = from_spool_id(id);
        let found = found(spool, id);
        match &found {
            Found::NeverRan => {}
            Found::Alive => {
                tails.insert(command, Tail { bytes: live_bytes(spool, id), end: None });
            }
            Found::Ended { log_bytes, .. } => {
                tails.insert(command, Tail { bytes: *log_bytes, end: Some(*log_bytes) });
            }
        }
        commands.push((command, found));
    }
    let (worker, mut outputs) = Worker::recover(spool.epoch()?, commands);
    outputs.retain(|output| match output {
        // Now, not later: the master may send the same command again at once.
        Output::Delete(command) => {
            forget(spool, *command);
            false
        }
        Output::RememberEpoch(_)
        | Output::RefuseMaster { .. }
        | Output::Run(_)
        | Output::Adopt(_)
        | Output::Stop(..)
        | Output::Send(_) => true,
    });
    let (running, known) = (worker.running(), worker.report().len());
    if known > 0 {
        info!(running, ended = known - running, "found commands of an earlier run in the spool");
    }
    Ok(Recovered { worker, outputs, tails })
}

/// Removes a command's directory. What is left after an error is found by the next start.
pub(super) fn forget(spool: &SpoolRoot, command: CommandId) {
    if let Err(error) = failpoint::around(Act::Forget, || spool.remove(spool_id(command))) {
        warn!(command.id = %command, "forget a command: {}", with_source(&error));
    }
}

/// Writes an error with what caused it.
pub(super) fn with_source(error: &(impl std::error::Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn found(spool: &SpoolRoot, id: shim::CommandId) -> Found {
    match look(spool, id) {
        Ok(Seen::NeverRan) => Found::NeverRan,
        // What does not die is looked at again until it has: its place is not free before.
        Ok(Seen::Alive | Seen::Dying) => Found::Alive,
        Ok(Seen::Ended { outcome, log_bytes, properties }) => {
            Found::Ended { outcome, log_bytes, properties }
        }
        Err(error) => {
            // It may have run: only its end can be reported.
            error!(command.id = %id, "read what became of a command: {}", with_source(&error));
            spool.sweep(id, None);
            let outcome = Outcome::Lost(LostReason::Supervisor);
            Found::Ended { outcome, log_bytes: 0, properties: None }
        }
    }
}

/// What became of a command.
pub(super) enum Seen {
    NeverRan,
    Alive,
    /// Its supervisor is gone, and not everything it left could be ended.
    Dying,
    Ended {
        outcome: Outcome,
        log_bytes: u64,
        properties: Option<Properties>,
    },
}

impl Seen {
    /// What its supervisor says of a command that has ended.
    pub(super) fn of(exit: shim::Exit) -> Self {
        let (outcome, log_bytes) = (outcome(exit.outcome), exit.log_bytes);
        Self::Ended { outcome, log_bytes, properties: exit.left.map(properties) }
    }
}

/// Reads a command's directory. Where the supervisor is gone, so is the tree afterwards.
pub(super) fn look(spool: &SpoolRoot, id: shim::CommandId) -> Result<Seen, SpoolError> {
    Ok(match spool.inspect(id)? {
        shim::Found::NeverRan => {
            // Nothing ran, but a group may have been made for it.
            spool.sweep(id, None);
            Seen::NeverRan
        }
        shim::Found::Alive => Seen::Alive,
        shim::Found::Exited(exit) => Seen::of(exit),
        shim::Found::SupervisorLost { started } => {
            let swept = spool.sweep(id, started.as_ref());
            if !swept.survivors.is_empty() {
                let pids = swept.survivors;
                error!(
                    command.id = %id, ?pids,
                    "processes that cannot be ended; the command is not over before they are gone"
                );
                return Ok(Seen::Dying);
            }
            lost(spool, id, LostReason::Supervisor)
        }
        shim::Found::Rebooted => lost(spool, id, LostReason::Reboot),
    })
}

fn lost(spool: &SpoolRoot, id: shim::CommandId, reason: LostReason) -> Seen {
    let log_bytes = spool.output(id).measure().unwrap_or_else(|error| {
        error!(command.id = %id, "measure the log of a command: {error}");
        0
    });
    Seen::Ended { outcome: Outcome::Lost(reason), log_bytes, properties: None }
}

fn properties(left: shim::Left) -> Properties {
    match left {
        shim::Left::Written(bytes) => Properties::Written(bytes),
        shim::Left::Missing(why) => Properties::Missing(why),
    }
}

fn outcome(outcome: shim::Outcome) -> Outcome {
    match outcome {
        shim::Outcome::Exited(code) => Outcome::Exited(code),
        shim::Outcome::Signal(number) => Outcome::Signal(number),
        shim::Outcome::Timeout => Outcome::Timeout,
        shim::Outcome::OutOfMemory => Outcome::OutOfMemory,
        shim::Outcome::ProcessLimit => Outcome::ProcessLimit,
        shim::Outcome::NotStarted(why) => Outcome::NotStarted(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_on_both_sides() {
        for command in [
            CommandId { incarnation: 0, counter: 0 },
            CommandId { incarnation: u64::MAX, counter: -1 },
            CommandId { incarnation: 0x0123_4567_89ab_cdef, counter: i64::MAX },
        ] {
            assert_eq!(from_spool_id(spool_id(command)), command);
            assert_eq!(spool_id(command).to_string(), command.to_string());
        }
    }
}
