//! Runs git with an environment and a configuration of our own.
//!
//! System and user configuration are off. What has to hold also for the programs git starts (a
//! local repository's own end of the transfer does not see `-c`) stands in an anonymous file
//! that takes the place of the user's.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};

use super::source::Source;

/// Variables of git that an administrator may set for the worker; all others are removed.
const KEPT: [&str; 4] = ["GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_SSL_CAINFO"];

/// Settings that win over a repository's own.
const SETTINGS: [&str; 9] = [
    "advice.detachedHead=false",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "credential.helper=",
    "fetch.recurseSubmodules=false",
    "gc.autoDetach=false",
    "init.defaultBranch=main",
    "maintenance.auto=false",
    "submodule.recurse=false",
];

/// Why git did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    #[error("start git: {0}; is it installed?")]
    Start(io::Error),
    #[error("make a configuration for git: {0}")]
    Configuration(io::Error),
    #[error("cannot {what} ({status}); git's own words stand above")]
    Failed { what: String, status: ExitStatus },
    #[error("cannot {what}: git answered `{answer}`")]
    Answer { what: String, answer: String },
}

/// Git, set up for one source.
#[derive(Debug)]
pub(super) struct Git {
    /// Lives as long as git may read it.
    configuration: File,
    schemes: &'static str,
}

impl Git {
    /// Sets up git for a source.
    pub(super) fn new(source: &Source) -> Result<Self, GitError> {
        let (text, schemes) = match source {
            Source::Remote(_) => (String::new(), "https:ssh"),
            Source::Local(path) => (safe_directories(path), "file"),
        };
        let fd = memfd_create("git-config", MemfdFlags::CLOEXEC)
            .map_err(|error| GitError::Configuration(error.into()))?;
        let mut configuration = File::from(fd);
        configuration.write_all(text.as_bytes()).map_err(GitError::Configuration)?;
        Ok(Self { configuration, schemes })
    }

    /// Runs git in a checkout; its words go to the step's log.
    pub(super) fn run(
        &self,
        checkout: &Path,
        what: impl FnOnce() -> String,
        arguments: &[&str],
    ) -> Result<(), GitError> {
        let mut command = self.command(checkout, arguments);
        let status = command.stdin(Stdio::null()).status().map_err(GitError::Start)?;
        if status.success() { Ok(()) } else { Err(GitError::Failed { what: what(), status }) }
    }

    /// Asks git a question in silence; `None` where it fails.
    pub(super) fn ask(
        &self,
        checkout: &Path,
        arguments: &[&str],
    ) -> Result<Option<String>, GitError> {
        let mut command = self.command(checkout, arguments);
        let output = command.stdin(Stdio::null()).output().map_err(GitError::Start)?;
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(output.status.success().then_some(answer))
    }

    fn command(&self, checkout: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("GIT_") && !KEPT.contains(&&*text) || text == "SSH_ASKPASS" {
                command.env_remove(&name);
            }
        }
        let file = format!("/proc/{}/fd/{}", std::process::id(), self.configuration.as_raw_fd());
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", file)
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", self.schemes)
            // Named, never searched for: a directory above may be a repository too.
            .env("GIT_DIR", checkout.join(".git"))
            .env("GIT_WORK_TREE", checkout)
            .env("LC_ALL", "C.UTF-8")
            .current_dir(checkout);
        if std::env::var_os("GIT_SSH_COMMAND").is_none() && std::env::var_os("GIT_SSH").is_none() {
            command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
        }
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(arguments);
        command
    }
}

/// Allows exactly this repository to belong to another user, under the names git may compare.
fn safe_directories(path: &Path) -> String {
    let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut text = "[safe]\n".to_owned();
    for path in [path, &canonical] {
        for path in [path.to_owned(), path.join(".git")] {
            text.push_str(&format!("\tdirectory = {}\n", quoted(&path)));
        }
    }
    text
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
