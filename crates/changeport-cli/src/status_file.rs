//! `CHANGEPORT_STATUS=FILE`: who the exit code is from, for callers that must know.

use std::fs;
use std::path::Path;

use serde_json::json;

/// Whose word the exit code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    App,
    Launcher,
}

/// How the launch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) origin: Origin,
    pub(crate) request: Option<String>,
    pub(crate) result: Option<String>,
    pub(crate) exit_code: u8,
    pub(crate) reason: String,
}

/// Writes the file whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(path: &Path, ending: &Ending) -> std::io::Result<()> {
    let origin = match ending.origin {
        Origin::App => "app",
        Origin::Launcher => "launcher",
    };
    let text = json!({
        "v": 1,
        "origin": origin,
        "request": ending.request,
        "result": ending.result,
        "exit_code": ending.exit_code,
        "reason": ending.reason,
    });
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    fs::write(&beside, format!("{text}\n"))?;
    fs::rename(&beside, path)
}
