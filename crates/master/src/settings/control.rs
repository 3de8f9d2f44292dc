//! Where the administrator's socket is; all the command line has to know of a configuration.

use std::path::{Path, PathBuf};

use anyhow::bail;
use config::{Code, Context, Diagnostic, Fields, NodeKind, Spanned};

use super::files;

const CONTROL: &str = "/run/yardmaster/control.sock";
/// Longest path of a Unix socket, in bytes. Source: `unix(7)`.
const SOCKET_PATH_BYTES: usize = 107;

/// Reads the key `control` of `[master]`.
pub(super) fn decode(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<PathBuf> {
    let path: Option<Spanned<PathBuf>> = fields.optional("control", cx)?;
    let Some(path) = path else { return Some(PathBuf::from(CONTROL)) };
    check_socket_path(&path, cx)
}

/// Checks that a path can be the name of a Unix socket.
pub(crate) fn check_socket_path(path: &Spanned<PathBuf>, cx: &mut Context<'_>) -> Option<PathBuf> {
    let length = path.value.as_os_str().len();
    if length > SOCKET_PATH_BYTES {
        let message = format!(
            "{} is {length} bytes long; sockets take {SOCKET_PATH_BYTES}",
            path.value.display()
        );
        let problem = Diagnostic::new(Code::BadAddress, path.span, message);
        cx.report(problem.help("use a shorter path, such as one below /run"));
        return None;
    }
    Some(path.value.clone())
}

/// Finds the control socket of the master that runs with a configuration, whatever else is
/// wrong with that.
///
/// # Errors
/// When the configuration cannot be read or does not say.
pub fn control_socket(configuration: &Path) -> anyhow::Result<PathBuf> {
    let files = files::read(configuration)?;
    let (tree, problems) = config::parse(&files);
    let mut cx = Context::new(&files, problems);
    if let NodeKind::Table(entries) = &tree.kind
        && let Some(entry) = entries.iter().find(|entry| entry.key == "master")
        && let Some(mut fields) = Fields::of(&entry.value, &mut cx)
        && let Some(path) = decode(&mut fields, &mut cx)
    {
        return Ok(path);
    }
    bail!(
        "{} does not say where the control socket is; see: master check --config {0}",
        configuration.display()
    )
}
