//! A file that holds a secret and that others must not be able to read.
//!
//! What is judged is the file that was opened, not its name, so nobody can exchange it in between.
//! A symlink is followed: that is how a place with many secrets is often made.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use config::{Code, Context, Diagnostic, Span};
use rustix::fs::OFlags;
use secret::Secret;

use super::SecretError;
use super::value::{READ_BYTES, buffer, value};

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum GuardedError {
    #[error("open {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not a file")]
    Kind { path: PathBuf },
    #[error("{path} can be read or written by everybody (mode {mode:04o}); run `chmod o= {path}`")]
    Others { path: PathBuf, mode: u32 },
    #[error("{path} belongs to user {owner}, who is neither root nor this master's; run `chown`")]
    Owner { path: PathBuf, owner: u32 },
}

impl GuardedError {
    /// Says whether it is so whoever looks, and not for the present user alone.
    fn is_final(&self) -> bool {
        match self {
            Self::Kind { .. } | Self::Others { .. } => true,
            Self::Open { .. } | Self::Read { .. } | Self::Owner { .. } => false,
        }
    }
}

/// Opens a file that is good enough for a secret.
fn open(path: &Path) -> Result<(File, Metadata), GuardedError> {
    let at = || path.to_owned();
    // A pipe of that name must not keep us waiting.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|source| GuardedError::Open { path: at(), source })?;
    let metadata = file.metadata().map_err(|source| GuardedError::Read { path: at(), source })?;
    if !metadata.is_file() {
        return Err(GuardedError::Kind { path: at() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(GuardedError::Others { path: at(), mode });
    }
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(GuardedError::Owner { path: at(), owner });
    }
    Ok((file, metadata))
}

/// Reads the secret in a file.
pub(super) fn read(path: &Path) -> Result<Secret, SecretError> {
    let (file, _) = open(path)?;
    let mut bytes = buffer();
    file.take(READ_BYTES as u64)
        .read_to_end(&mut bytes)
        .map_err(|source| GuardedError::Read { path: path.to_owned(), source })?;
    Ok(value(&bytes)?)
}

/// Reports a file that nobody should rely on. What only the master itself can know is a warning:
/// whoever checks a configuration may be somebody else.
pub(super) fn check(path: &Path, span: Span, cx: &mut Context<'_>) {
    match open(path) {
        Ok((_, metadata)) if metadata.mode() & 0o070 != 0 => {
            let mode = metadata.mode() & 0o7777;
            let message = format!("the group of {} can read it (mode {mode:04o})", path.display());
            let problem = Diagnostic::new(Code::GroupReadable, span, message);
            cx.report(problem.help(format!("run `chmod g= {}`", path.display())));
        }
        Ok(_) => {}
        Err(error) => {
            let code = if error.is_final() { Code::Unreadable } else { Code::SecretUnread };
            cx.report(Diagnostic::new(code, span, error.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// Returns the value of a file with this mode, or why not.
    fn of_mode(path: &Path, mode: u32) -> Result<Vec<u8>, String> {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        read(path).map(|secret| secret.expose().to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_that_others_can_open_is_refused_and_a_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("token"), folder.path().join("link"));
        fs::write(&path, "hunter2\n").unwrap();
        symlink(&path, &link).unwrap();
        for mode in [0o600, 0o640, 0o660, 0o400] {
            assert_eq!(of_mode(&path, mode), Ok(b"hunter2".to_vec()), "{mode:o}");
        }
        assert_eq!(read(&link).unwrap().expose(), b"hunter2");
        for mode in [0o604, 0o602, 0o601, 0o644, 0o777] {
            let why = of_mode(&path, mode).unwrap_err();
            let shown = path.display();
            let expected = format!(
                "{shown} can be read or written by everybody (mode {mode:04o}); run `chmod o= {shown}`"
            );
            assert_eq!(why, expected);
        }
        assert!(read(&link).unwrap_err().to_string().contains("by everybody"));
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [&pipe, &folder.path().to_owned()] {
            assert_eq!(
                read(path).unwrap_err().to_string(),
                format!("{} is not a file", path.display())
            );
        }
        let absent = folder.path().join("absent");
        let why = format!("open {}: No such file or directory (os error 2)", absent.display());
        assert_eq!(read(&absent).unwrap_err().to_string(), why);
    }
}
