//! Translates between the wire's types and the halves of a command's life.

use attempt::{CommandId, Outcome, Properties, Stamp, StopOrder, ToMaster, ToWorker, View};
use proto::message::command::{
    self, End, Ending, FinalAck, LeftProperties, Phase, Report, Start, Stop,
};
use proto::{Bytes, limits};

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
        View::Ended { outcome, log_bytes, properties } => {
            (Phase::Ended, Some(end(outcome, *log_bytes, properties.as_ref())))
        }
    };
    Report { command: command_to_wire(report.command), phase, end }
}

/// Takes what commands left out of the reports of an attach: it is sent before, in frames of its own.
pub(super) fn take_left(reports: &mut [Report]) -> Vec<LeftProperties> {
    let left = |report: &mut Report| {
        let properties = report.end.as_mut()?.properties.take()?;
        Some(LeftProperties { command: report.command, properties })
    };
    reports.iter_mut().filter_map(left).take(limits::LEFT_PROPERTIES).collect()
}

fn end(outcome: &Outcome, log_bytes: u64, left: Option<&Properties>) -> End {
    let (ending, code, reason) = match outcome {
        Outcome::Exited(code) => (Ending::Exited, *code, String::new()),
        Outcome::Signal(number) => (Ending::Signal, *number, String::new()),
        Outcome::Timeout => (Ending::Timeout, 0, String::new()),
        Outcome::OutOfMemory => (Ending::OutOfMemory, 0, String::new()),
        Outcome::ProcessLimit => (Ending::ProcessLimit, 0, String::new()),
        Outcome::Cancelled => (Ending::Cancelled, 0, String::new()),
        Outcome::NotStarted(why) | Outcome::Unsent(why) => (Ending::NotStarted, 0, why.clone()),
        Outcome::Lost(reason) => (Ending::Lost, 0, reason.word().to_owned()),
    };
    let (properties, no_properties) = match left {
        Some(Properties::Written(bytes)) => (Some(Bytes(bytes.clone())), None),
        Some(Properties::Missing(why)) => (None, Some(why.clone())),
        None => (None, None),
    };
    End { ending, code, reason, log_bytes, properties, no_properties }
}
