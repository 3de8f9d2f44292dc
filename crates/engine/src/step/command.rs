//! `command = [...]`: an argument vector, executed as it stands; no shell sees it.

use config::template::Argument;
use serde::{Deserialize, Serialize};

use super::Program;
use crate::subject::Subject;

/// The arguments; a whole element such as `"${args}"` is spliced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandStep {
    pub argv: Vec<Argument>,
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
