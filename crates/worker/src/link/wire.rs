//! Translates between the wire's types and the halves of a command's life.

use attempt::{CommandId, Outcome, Stamp, StopOrder, ToMaster, ToWorker, View};
use proto::message::command::{self, End, Ending, FinalAck, Phase, Report, Start, Stop};

/// Translates an id from the wire.
pub(crate) fn command_from_wire(id: command::CommandId) -> CommandId {
    CommandId { incarnation: id.incarnation, counter: id.counter }
}

/// Translates an id for the wire.
pub(super) fn command_to_wire(id: CommandId) -> command::CommandId {
    command::CommandId { incarnation: id.incarnation, counter: id.counter }
}

/// Returns what a start asks for, without its contents.
pub(crate) fn start_from_wire(start: &Start) -> ToWorker {
    let stamp = Stamp { epoch: start.epoch, session: start.session };
    ToWorker::Start { stamp, command: command_from_wire(start.command) }
}

/// Translates a stop.
pub(super) fn stop_from_wire(stop: &Stop) -> ToWorker {
    ToWorker::Stop {
        stamp: Stamp { epoch: stop.epoch, session: stop.session },
        command: command_from_wire(stop.command),
        order: StopOrder { signal: stop.signal, grace_ms: stop.grace_ms },
    }
}

/// Translates a final acknowledgement.
pub(super) fn final_ack_from_wire(ack: FinalAck) -> ToWorker {
    let stamp = Stamp { epoch: ack.epoch, session: ack.session };
    ToWorker::FinalAck { stamp, command: command_from_wire(ack.command) }
}

/// Translates a report.
pub(super) fn report_to_wire(report: &ToMaster) -> Report {
    let (phase, end) = match &report.view {
        View::Running => (Phase::Running, None),
        View::Ended { outcome, log_bytes } => (Phase::Ended, Some(end(outcome, *log_bytes))),
    };
    Report { command: command_to_wire(report.command), phase, end }
}

fn end(outcome: &Outcome, log_bytes: u64) -> End {
    let (ending, code, reason) = match outcome {
        Outcome::Exited(code) => (Ending::Exited, *code, String::new()),
        Outcome::Signal(number) => (Ending::Signal, *number, String::new()),
        Outcome::Timeout => (Ending::Timeout, 0, String::new()),
        Outcome::OutOfMemory => (Ending::OutOfMemory, 0, String::new()),
        Outcome::ProcessLimit => (Ending::ProcessLimit, 0, String::new()),
        Outcome::Cancelled => (Ending::Cancelled, 0, String::new()),
        Outcome::NotStarted(why) => (Ending::NotStarted, 0, why.clone()),
        Outcome::Lost(reason) => (Ending::Lost, 0, reason.word().to_owned()),
    };
    End { ending, code, reason, log_bytes }
}
