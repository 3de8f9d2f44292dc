//! The environment of a command, built from nothing.
//!
//! Later wins: the daemon's own few, the administrator's, the step's, then the marks by which a
//! command's processes are found again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use proto::Bytes;
use proto::message::command::Start;

use super::{OrderError, Workshop};
use crate::daemon::spool_id;
use crate::settings::Variables;

const COMMAND: &str = "YARDMASTER_COMMAND";
const BUILDER: &str = "YARDMASTER_BUILDER";
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Who the commands run as; everything else of the daemon's environment stays with it.
const INHERITED: [&str; 3] = ["HOME", "LOGNAME", "USER"];

/// What is taken over from the daemon's own environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own(Vec<(&'static str, OsString)>);

impl Own {
    /// Reads it once, at start.
    pub(crate) fn read(data: &Path) -> Self {
        let mut own: Vec<_> =
            INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect();
        if !own.iter().any(|(name, _)| *name == "HOME") {
            own.push(("HOME", data.as_os_str().to_owned()));
        }
        Self(own)
    }
}

/// Names and values, each name once.
pub(super) struct Environment(BTreeMap<Vec<u8>, Vec<u8>>);

/// Returns what every program here gets, whoever asks for it.
pub(crate) fn plain_environment(own: &Own, variables: &Variables) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut env = Environment(BTreeMap::new());
    env.set("PATH", PATH);
    env.set("LANG", "C.UTF-8");
    for (name, value) in &own.0 {
        env.set(name, value.as_encoded_bytes());
    }
    for (name, value) in &variables.0 {
        env.set(name, value);
    }
    env.0
}

/// Puts together the environment of a command.
pub(super) fn of(start: &Start, workshop: &Workshop) -> Result<Environment, OrderError> {
    let mut env = Environment(plain_environment(&workshop.own, &workshop.variables));
    for variable in &start.env {
        env.set(checked(&variable.name)?, variable.value.as_ref());
    }
    for variable in &start.secret_env {
        // Its value comes on another way, and there is one of each name.
        env.0.remove(checked(&variable.name)?);
    }
    env.set(COMMAND, spool_id(crate::link::command_from_wire(start.command)).to_string());
    env.set(BUILDER, &start.builder);
    Ok(env)
}

/// Says whether the name is one of the marks.
pub(super) fn is_mark(name: &[u8]) -> bool {
    [COMMAND.as_bytes(), BUILDER.as_bytes()].contains(&name)
}

fn checked(name: &Bytes) -> Result<&[u8], OrderError> {
    if name.as_ref().is_empty() || name.as_ref().contains(&b'=') {
        return Err(OrderError::Variable { name: name.lossy().into_owned() });
    }
    Ok(name.as_ref())
}

impl Environment {
    fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0.insert(name.as_ref().to_vec(), value.as_ref().to_vec());
    }

    /// Returns `NAME=VALUE` each.
    pub(super) fn variables(&self) -> Vec<Vec<u8>> {
        self.0.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect()
    }
}
