//! `command = [...]`: an argument vector, executed as it stands; no shell sees it.

use config::template::Argument;
use config::{Code, Context, Decode as _, Diagnostic, Entry, Fields, NodeKind};
use serde::{Deserialize, Serialize};

use super::{Program, StepKind, decode};
use crate::subject::Subject;

/// The arguments; a whole element such as `"${args}"` is spliced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandStep {
    pub argv: Vec<Argument>,
}

pub(super) const KIND: decode::Kind = decode::Kind { key: "command", decode };

fn decode(entry: &Entry, _step: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<StepKind> {
    if let NodeKind::Text(line) = &entry.value.kind {
        let problem = Diagnostic::new(Code::WrongType, entry.value.span, "expected a list");
        cx.report(problem.label("this is a text").help(instead(line)));
        return None;
    }
    let argv = Vec::<Argument>::decode(&entry.value, cx)?;
    if argv.is_empty() {
        let problem = Diagnostic::new(Code::OutOfRange, entry.value.span, "the command is empty");
        cx.report(problem.help("the first element is the program"));
        return None;
    }
    Some(StepKind::Command(CommandStep { argv }))
}

/// What only a shell understands.
const OF_A_SHELL: &[char] =
    &['|', '&', ';', '<', '>', '(', ')', '`', '"', '\'', '\\', '*', '?', '~', '#', '\n'];

/// Says how a command line is to be written.
fn instead(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.is_empty() {
        return "write the program and its arguments: command = [\"git\", \"log\"]".to_owned();
    }
    let text = line.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    if line.contains(OF_A_SHELL) {
        return format!("for a shell, write: script = \"{text}\"");
    }
    format!("write: command = {words:?}; or, for a shell: script = \"{text}\"")
}

impl CommandStep {
    pub(super) fn render(&self, subject: &Subject<'_>) -> Result<(Program, Vec<Vec<u8>>), String> {
        let mut argv = Vec::new();
        for argument in &self.argv {
            subject.render_into(argument, &mut argv)?;
        }
        if argv.is_empty() {
            return Err("the command is empty".to_owned());
        }
        Ok((Program::Exec, argv))
    }
}
