//! Steps: what a builder does, one kind a file.
//!
//! A kind turns its configuration into the program and arguments of one command. To add one:
//! its file with a struct, its `KIND` and `render`, a variant of `StepKind`, and a line in
//! `decode::KINDS`.

mod command;
mod decode;
mod exit_codes;
mod flags;
mod git;
mod naming;
mod script;

use std::time::Duration;

use config::template::{Part, Template};
use config::{Condition, Name};
use serde::{Deserialize, Serialize};

pub use command::CommandStep;
pub use exit_codes::ExitCodes;
pub use git::{GitMethod, GitMode, GitStep, Repository};
pub(crate) use naming::{Draft, name_all};
pub use script::ScriptStep;

use crate::lock::Claim;
use crate::result::Flags;
use crate::subject::Subject;

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Unique within the builder.
    pub name: Name,
    pub kind: StepKind,
    /// Added to the command's environment, in order.
    pub env: Vec<(String, Template)>,
    /// Below the build directory; never above it.
    pub workdir: Option<String>,
    /// For the whole run of a command.
    pub timeout: Option<Duration>,
    /// For a command that says nothing.
    pub silence_timeout: Option<Duration>,
    /// Most output of a command that is kept, in bytes; absent where the worker decides.
    #[serde(default)]
    pub max_output_bytes: Option<u64>,
    /// Most processes and threads of a command at once; absent where the worker decides.
    #[serde(default)]
    pub max_processes: Option<u32>,
    /// Most memory of a command, in bytes; absent where the worker decides.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Taken before its command, and held until nothing of that runs.
    #[serde(default)]
    pub locks: Vec<Claim>,
    /// Skipped where it does not hold.
    #[serde(default)]
    pub when: Option<Condition>,
    /// The file below the working directory in which its command leaves properties.
    #[serde(default)]
    pub set_properties: Option<String>,
    /// What exit codes mean other than the usual.
    #[serde(default)]
    pub exit_codes: ExitCodes,
    pub flags: Flags,
    /// Runs although an earlier step ended the build.
    pub always_run: bool,
    /// May run again where it is not known whether it ran.
    pub retry_safe: bool,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StepKind {
    Git(GitStep),
    Command(CommandStep),
    Script(ScriptStep),
}

/// Which program of the worker runs a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `argv` as it stands.
    Exec,
    /// `argv[0]` is the body of a script.
    Script,
    /// The worker's own git step; `argv` holds its options.
    Git,
}

/// A step cannot be turned into a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expand the templates of step `{step}`: {why}")]
pub struct RenderFailed {
    pub step: Name,
    pub why: String,
}

/// Program and arguments of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub program: Program,
    pub argv: Vec<Vec<u8>>,
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// Variables with secrets in them, whose values are known to nobody here.
    pub secret_env: Vec<(Vec<u8>, Vec<Part>)>,
}

impl Step {
    /// Expands the templates for one command.
    ///
    /// # Errors
    /// When a template names something this build does not have.
    pub(crate) fn render(&self, subject: &Subject<'_>) -> Result<Rendered, RenderFailed> {
        let failed = |why: String| RenderFailed { step: self.name.clone(), why };
        let (program, argv) = match &self.kind {
            StepKind::Git(git) => git.render(subject),
            StepKind::Command(command) => command.render(subject),
            StepKind::Script(script) => script.render(),
        }
        .map_err(&failed)?;
        let (mut env, mut secret_env) = (subject.launch_env(), Vec::new());
        for (name, template) in &self.env {
            let name = name.clone().into_bytes();
            if template.has_secrets() {
                secret_env.push((name, subject.render_parts(template).map_err(&failed)?));
            } else {
                env.push((name, subject.render(template).map_err(&failed)?));
            }
        }
        Ok(Rendered { program, argv, env, secret_env })
    }
}
