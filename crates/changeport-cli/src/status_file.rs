//! `CHANGEPORT_STATUS=FILE`: who the exit code is from, for callers that must know.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use failpoint::Act;
use serde_json::{Value, json};

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

/// Writes the file whole or not at all. A device or a pipe is written to and never replaced.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(path: &Path, ending: &Ending) -> std::io::Result<()> {
    let text = format!("{}\n", as_json(ending));
    let is_replaceable = fs::metadata(path).map_or(true, |there| there.is_file());
    if !is_replaceable {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes());
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    fs::write(&beside, text)?;
    failpoint::around(Act::StatusRename, || fs::rename(&beside, path))
}

fn as_json(ending: &Ending) -> Value {
    let origin = match ending.origin {
        Origin::App => "app",
        Origin::Launcher => "launcher",
    };
    json!({
        "v": 1,
        "origin": origin,
        "request": ending.request,
        "result": ending.result,
        "exit_code": ending.exit_code,
        "reason": ending.reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending() -> Ending {
        Ending {
            origin: Origin::App,
            request: Some("hello#1".to_owned()),
            result: Some("FAILURE".to_owned()),
            exit_code: 7,
            reason: String::new(),
        }
    }

    #[test]
    fn the_file_tells_whose_code_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status");
        write(&path, &ending()).unwrap();
        let value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let expected = json!({
            "v": 1, "origin": "app", "request": "hello#1", "result": "FAILURE",
            "exit_code": 7, "reason": "",
        });
        assert_eq!(value, expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_a_file_is_not_replaced_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        write(&path, &ending()).unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    }
}
