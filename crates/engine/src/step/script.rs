//! `script = "..."`: a body for `bash -euo pipefail`. Values reach it only by `env`.

use serde::{Deserialize, Serialize};

use super::Program;

/// The body, never expanded by us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptStep {
    pub body: String,
}

impl ScriptStep {
    pub(super) fn render(&self) -> Result<(Program, Vec<Vec<u8>>), String> {
        Ok((Program::Script, vec![self.body.clone().into_bytes()]))
    }
}
