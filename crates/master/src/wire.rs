//! Translates between the wire's types and the domain's.

use std::collections::BTreeMap;

use attempt::{CommandId, LostReason, Outcome, Properties, ToMaster, View};
use config::{Name, Value};
use proto::limits;
use proto::message::command::{self, Ending, Phase, Report};

/// A worker said something this master cannot make sense of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a report with phase `{phase}` {why}")]
pub struct BadReport {
    phase: Phase,
    why: &'static str,
}

/// Translates an id for the wire.
pub fn command_to_wire(id: CommandId) -> command::CommandId {
    command::CommandId { incarnation: id.incarnation, counter: id.counter }
}

/// Translates an id from the wire.
pub fn command_from_wire(id: command::CommandId) -> CommandId {
    CommandId { incarnation: id.incarnation, counter: id.counter }
}

/// Translates whether a worker takes builds. A word of a newer worker is some way not to.
pub fn readiness_from_wire(readiness: command::Readiness) -> engine::Readiness {
    match readiness {
        command::Readiness::Ready => engine::Readiness::Ready,
        command::Readiness::Draining | command::Readiness::Unknown => engine::Readiness::Draining,
    }
}

/// Translates what a worker says of its machine; probes come later.
pub fn facts_from_wire(facts: &command::Facts) -> engine::Facts {
    engine::Facts {
        os: facts.os.clone(),
        arch: facts.arch.clone(),
        cpus: facts.cores,
        memory_bytes: facts.memory_bytes,
        probes: BTreeMap::new(),
    }
}

/// A worker found more, or said more of it, than it may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("findings of probes that cannot be: {0}")]
pub struct BadFindings(String);

/// Translates what probes have found. A word for true or false is that, a whole number is one;
/// everything else is a text, which can be compared with a version.
///
/// # Errors
/// When there are too many, or one is no name or too long.
pub fn findings_from_wire(probed: command::Probed) -> Result<BTreeMap<String, Value>, BadFindings> {
    if probed.findings.len() > limits::PROBES {
        return Err(BadFindings(format!("more than {}", limits::PROBES)));
    }
    let one = |finding: command::Finding| {
        let command::Finding { name, value } = finding;
        if Name::parse(&name).is_err() || value.len() > limits::PROBE_BYTES {
            return Err(BadFindings(format!("`{name:.64}`")));
        }
        let typed = match value.as_str() {
            "true" | "True" => Value::Bool(true),
            "false" | "False" => Value::Bool(false),
            number => number.parse().map_or_else(|_no| Value::Str(value.clone()), Value::Int),
        };
        Ok((name, typed))
    };
    probed.findings.into_iter().map(one).collect()
}

/// Translates a worker's report.
///
/// # Errors
/// When it says a command ended without saying how, or a phase or ending of a newer worker.
pub fn report_from_wire(report: Report) -> Result<ToMaster, BadReport> {
    let phase = report.phase;
    let view = match (phase, report.end) {
        (Phase::Running, _) => View::Running,
        (Phase::Ended, Some(end)) => {
            let outcome = outcome(&end).ok_or(BadReport { phase, why: "has an unknown ending" })?;
            let log_bytes = end.log_bytes;
            let properties = match (end.properties, end.no_properties) {
                (Some(bytes), _) if bytes.0.len() > limits::PROPERTIES_BYTES => {
                    return Err(BadReport { phase, why: "has more properties than it may" });
                }
                (Some(bytes), _) => Some(Properties::Written(bytes.0)),
                (None, Some(why)) => Some(Properties::Missing(short(&why))),
                (None, None) => None,
            };
            View::Ended { outcome, log_bytes, properties }
        }
        (Phase::Ended, None) => return Err(BadReport { phase, why: "does not say how it ended" }),
        (Phase::Unknown, _) => return Err(BadReport { phase, why: "is not known here" }),
    };
    Ok(ToMaster { command: command_from_wire(report.command), view })
}

/// Most of a reason that is kept, in bytes: it is part of rows that live in memory.
const MOST_REASON_BYTES: usize = 4 * 1024;

fn short(reason: &str) -> String {
    reason[..reason.floor_char_boundary(MOST_REASON_BYTES)].replace('\0', "\u{fffd}")
}

fn outcome(end: &command::End) -> Option<Outcome> {
    Some(match end.ending {
        Ending::Exited => Outcome::Exited(end.code),
        Ending::Signal => Outcome::Signal(end.code),
        Ending::Timeout => Outcome::Timeout,
        Ending::OutOfMemory => Outcome::OutOfMemory,
        Ending::ProcessLimit => Outcome::ProcessLimit,
        Ending::Cancelled => Outcome::Cancelled,
        Ending::NotStarted => Outcome::NotStarted(short(&end.reason)),
        Ending::Lost => Outcome::Lost(LostReason::from_word(&end.reason)?),
        Ending::Unknown => return None,
    })
}
