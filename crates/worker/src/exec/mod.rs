//! From a master's order to something a shim can run.
//!
//! `program` says what is executed, `environment` with which variables, `workdir` where, `limits`
//! how much it may use, `secrets` what must not be seen. A new
//! ability of workers is one more arm in `program::argv`.
//!
//! **Invariants**: nothing of the daemon's own environment reaches a command but what
//! `environment` names; a command begins below the directory of its slot.

mod environment;
mod limits;
mod program;
mod secrets;
#[cfg(test)]
mod tests;
mod workdir;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use config::BadName;
use proto::message::command::Start;
use shim::{Home, LeftFile, OutputCap, Spec, Stdin};

use crate::settings::{LimitPolicy, OutputPolicy, Repositories, Variables};
use crate::workdirs::Workdirs;

pub(crate) use environment::{Own, plain_environment};
pub(crate) use secrets::of as secrets;

/// Between the signal of a timeout and the kill of the tree.
const KILL_GRACE_MS: u64 = 10_000;

/// What all commands of this worker have in common.
#[derive(Debug)]
pub(crate) struct Workshop {
    pub workdirs: Arc<Workdirs>,
    /// This program, which is also the git step.
    pub program: PathBuf,
    pub own: Own,
    pub variables: Variables,
    pub repositories: Repositories,
    pub output: OutputPolicy,
    pub limits: LimitPolicy,
    /// Absent: there are no control groups here.
    pub home: Option<Home>,
}

/// Why an order cannot be carried out. Nothing was run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("run program kind `{0}`: this worker does not know it; upgrade the worker")]
    Program(proto::message::command::Program),
    #[error("run a script: the order holds {count} texts instead of one")]
    Script { count: usize },
    #[error("run a command without a program")]
    Empty,
    #[error("make the working directory of a builder: {0}")]
    Builder(#[from] BadName),
    #[error("work in `{workdir}`: a workdir is relative and has no `..`")]
    Workdir { workdir: String },
    #[error("work in {path}: {source}")]
    Directory { path: PathBuf, source: io::Error },
    #[error("set variable `{name}`: a name is not empty and holds no `=`")]
    Variable { name: String },
    #[error("set variable `{variable}`: the order does not bring the secret `{name}`")]
    Secret { name: String, variable: String },
}

/// Makes the working directory and says what to run in it.
pub(crate) fn spec(start: &Start, workshop: &Workshop) -> Result<Spec, OrderError> {
    let place = workdir::Place::of(start, workshop.workdirs.path())?;
    let argv = program::argv(start, workshop, &place)?;
    let env = environment::of(start, workshop)?;
    let cwd = place.make(&workshop.workdirs)?;
    let (group, notes) = limits::of(start, workshop);
    Ok(Spec {
        argv,
        env: env.variables(),
        cwd: cwd.into_os_string().into_encoded_bytes(),
        stdin: Stdin::Null,
        timeout_ms: start.timeout_ms,
        silence_timeout_ms: start.silence_timeout_ms,
        kill_grace_ms: KILL_GRACE_MS,
        output_cap: Some(cap(workshop.output.granted(start.max_output_bytes))),
        group,
        notes,
        left: left_file(start),
        has_secrets: !start.secrets.is_empty() || !start.secret_env.is_empty(),
    })
}

fn left_file(start: &Start) -> Option<LeftFile> {
    let path = start.properties_file.as_ref()?.0.clone();
    Some(LeftFile { path, most_bytes: proto::limits::PROPERTIES_BYTES as u64 })
}

/// Half of what is kept is the beginning of an output, half is its end.
fn cap(most_bytes: u64) -> OutputCap {
    let tail_bytes = most_bytes / 2;
    OutputCap { head_bytes: most_bytes - tail_bytes, tail_bytes }
}

/// Returns the names of a specification's variables, which may be logged as values may not.
pub(crate) fn names(spec: &Spec) -> String {
    let name = |variable: &Vec<u8>| {
        let name = variable.split(|byte| *byte == b'=').next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    };
    spec.env.iter().map(name).collect::<Vec<_>>().join(" ")
}
