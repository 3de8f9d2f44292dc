//! `exit_codes = { 77 = "skipped" }`: what the exit codes of a program mean.
//!
//! Buildbot's `decodeRC`, except that 0 stays a success where nothing else is said.

use std::collections::BTreeMap;

use attempt::Outcome;
use config::{Code, Context, Decode, Diagnostic, Entry, Node, NodeKind, choice};
use serde::{Deserialize, Serialize};

use crate::result::{self, BuildResult};

/// The codes that mean something else than success for 0 and failure for all others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitCodes(pub BTreeMap<u8, BuildResult>);

/// What a program can say. That it is cancelled or to be tried again is not for it to say.
const RESULTS: [(&str, BuildResult); 5] = [
    ("success", BuildResult::Success),
    ("warnings", BuildResult::Warnings),
    ("failure", BuildResult::Failure),
    ("skipped", BuildResult::Skipped),
    ("exception", BuildResult::Exception),
];

impl ExitCodes {
    /// Returns the result of a step whose command ended like this.
    pub(crate) fn result(&self, outcome: &Outcome) -> BuildResult {
        let code = match outcome {
            Outcome::Exited(code) => u8::try_from(*code).ok(),
            Outcome::Signal(_)
            | Outcome::Timeout
            | Outcome::OutOfMemory
            | Outcome::ProcessLimit
            | Outcome::Cancelled
            | Outcome::NotStarted(_)
            | Outcome::Unsent(_)
            | Outcome::Lost(_) => None,
        };
        let meant = code.and_then(|code| self.0.get(&code)).copied();
        meant.unwrap_or_else(|| result::of_outcome(outcome))
    }

    /// Says whether a step can have this result by one of the codes.
    pub(super) fn can_be(&self, result: BuildResult) -> bool {
        self.0.values().any(|meant| *meant == result)
    }
}

impl Decode for ExitCodes {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Table(entries) = &node.kind else {
            let message = "expected a table of exit codes";
            let problem = Diagnostic::new(Code::WrongType, node.span, message);
            cx.report(problem.help("write: exit_codes = { 77 = \"skipped\" }"));
            return None;
        };
        let codes: Vec<_> = entries.iter().map(|entry| code(entry, cx)).collect();
        codes.into_iter().collect::<Option<_>>().map(Self)
    }
}

fn code(entry: &Entry, cx: &mut Context<'_>) -> Option<(u8, BuildResult)> {
    let code = entry.key.parse::<u8>().ok().filter(|code| code.to_string() == entry.key);
    if code.is_none() {
        let message = format!("`{}` is not an exit code", entry.key);
        let problem = Diagnostic::new(Code::OutOfRange, entry.key_span, message);
        cx.report(problem.help("exit codes are numbers from 0 to 255"));
    }
    let result = choice(&entry.value, &RESULTS, cx);
    Some((code?, result?))
}
