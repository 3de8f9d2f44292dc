//! `script = "..."`: a body for `bash -euo pipefail`. Values reach it only by `env`.

use config::template::check_script;
use config::{Code, Context, Decode as _, Diagnostic, Entry, Fields};
use serde::{Deserialize, Serialize};

use super::{Program, StepKind, decode};

/// The body, never expanded by us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptStep {
    pub body: String,
}

pub(super) const KIND: decode::Kind = decode::Kind { key: "script", decode };

fn decode(entry: &Entry, _step: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<StepKind> {
    let body = String::decode(&entry.value, cx)?;
    if body.trim().is_empty() {
        let problem = Diagnostic::new(Code::OutOfRange, entry.value.span, "the script is empty");
        cx.report(problem.help("write what bash is to run, or remove the step"));
        return None;
    }
    check_script(&body, entry.value.span, cx);
    Some(StepKind::Script(ScriptStep { body }))
}

impl ScriptStep {
    pub(super) fn render(&self) -> Result<(Program, Vec<Vec<u8>>), String> {
        Ok((Program::Script, vec![self.body.clone().into_bytes()]))
    }
}
