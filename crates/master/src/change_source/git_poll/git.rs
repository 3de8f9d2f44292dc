//! Runs git so that neither a repository nor the machine's settings can make it do more than
//! asked: no prompts, no hooks, no system or user configuration, only allowed transports.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::url;

/// More output than this is not read.
const MOST_OUTPUT_BYTES: u64 = 64 * 1024 * 1024;
const MOST_ERROR_BYTES: u64 = 64 * 1024;

/// Why a git command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    #[error("start git; is it installed?")]
    Start(#[source] io::Error),
    #[error("talk to git")]
    Talk(#[source] io::Error),
    #[error("git {what} did not end within {limit:?}")]
    Late { what: String, limit: Duration },
    #[error("git {what} failed: {why}")]
    Failed { what: String, code: Option<i32>, why: String },
    #[error("git {what} wrote something else than expected: {why}")]
    Output { what: String, why: String },
    #[error("write {path}")]
    Settings { path: PathBuf, source: io::Error },
    #[error(
        "remove old locks from the mirror {path}; once the folder is gone the next poll makes a new one"
    )]
    Mend { path: PathBuf, source: io::Error },
}

/// How to run git for one source.
#[derive(Debug, Clone)]
pub(super) struct Git {
    /// Stands in for the user's configuration.
    settings: PathBuf,
    protocols: &'static str,
    timeout: Duration,
}

impl Git {
    /// Prepares to run git; `settings` is a file of ours that is written here.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn new(
        settings: PathBuf,
        repository: &str,
        timeout: Duration,
    ) -> Result<Self, GitError> {
        let (text, protocols) = match url::local_path(repository) {
            Some(path) => (format!("[safe]\n\tdirectory = {}\n", quoted(path)), "file"),
            None => (String::new(), "https:ssh"),
        };
        std::fs::write(&settings, text)
            .map_err(|source| GitError::Settings { path: settings.clone(), source })?;
        Ok(Self { settings, protocols, timeout })
    }

    /// Runs a git command and returns what it wrote.
    ///
    /// # Errors
    /// When it does not start, fails, writes too much or takes too long; it is killed then.
    pub(super) async fn run(
        &self,
        folder: Option<&Path>,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<Vec<u8>, GitError> {
        self.run_for(self.timeout, folder, arguments, input).await
    }

    /// Runs a git command that has its own limit of time.
    ///
    /// # Errors
    /// As `run`.
    pub(super) async fn run_for(
        &self,
        limit: Duration,
        folder: Option<&Path>,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<Vec<u8>, GitError> {
        let what = arguments.first().copied().unwrap_or_default().to_owned();
        let mut command = self.command(folder);
        command.args(arguments);
        let child = command.spawn().map_err(GitError::Start)?;
        let mut group = Group::of(child);
        tokio::time::timeout(limit, group.talk(&what, input))
            .await
            .map_err(|_late| GitError::Late { what, limit })?
    }

    fn command(&self, folder: Option<&Path>) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        for name in ["PATH", "HOME", "SSH_AUTH_SOCK"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "true")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", &self.settings)
            .env("GIT_ALLOW_PROTOCOL", self.protocols)
            .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=20")
            .args(["-c", "core.hooksPath=/dev/null", "-c", "credential.helper="])
            // Repacking is asked for when there is time, and waited for.
            .args(["-c", "maintenance.auto=false", "-c", "gc.autoDetach=false"])
            .args(["-c", "core.quotePath=false"]);
        if let Some(folder) = folder {
            command.arg("--git-dir").arg(folder);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// Quotes a value for git's configuration.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A running git with the helpers it starts; all of them end with it.
struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { child, leader: id.and_then(Pid::from_raw) }
    }

    async fn talk(&mut self, what: &str, input: &[u8]) -> Result<Vec<u8>, GitError> {
        let stdin = self.child.stdin.take();
        let mut stdout = self.child.stdout.take().map(|out| out.take(MOST_OUTPUT_BYTES));
        let mut stderr = self.child.stderr.take().map(|err| err.take(MOST_ERROR_BYTES));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let feed = async {
            let Some(mut stdin) = stdin else { return Ok(()) };
            // A git that failed early closes its input; its exit code says why.
            match stdin.write_all(input).await {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
                Ok(()) | Err(_) => Ok(()),
            }
        };
        let read = async {
            match &mut stdout {
                Some(stdout) => stdout.read_to_end(&mut out).await.map(drop),
                None => Ok(()),
            }
        };
        let hear = async {
            match &mut stderr {
                Some(stderr) => stderr.read_to_end(&mut err).await.map(drop),
                None => Ok(()),
            }
        };
        let (fed, was_read, heard) = tokio::join!(feed, read, hear);
        fed.and(was_read).and(heard).map_err(GitError::Talk)?;
        let status = self.child.wait().await.map_err(GitError::Talk)?;
        self.leader = None;
        if status.success() {
            return Ok(out);
        }
        Err(GitError::Failed { what: what.to_owned(), code: status.code(), why: reason(&err) })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader
            && let Err(error) = kill_process_group(leader, Signal::KILL)
        {
            tracing::debug!("kill git: {error}");
        }
    }
}

/// Picks what tells most of git's complaint: its own line, and the one before it, which is where
/// ssh and other helpers say why.
pub(super) fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let is_gits = |line: &&str| line.starts_with("fatal:") || line.starts_with("error:");
    let told = match lines.iter().position(is_gits) {
        Some(at) => lines[at.saturating_sub(1)..=at].join("; "),
        None => (*lines.last().unwrap_or(&"it did not say why")).to_owned(),
    };
    url::without_password(&told).chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_gits_own_line_with_the_cause_before_it() {
        let ssh = b"git@host: Permission denied (publickey).\r\n\
            fatal: Could not read from remote repository.\n\nPlease make sure you have\n";
        let told = "git@host: Permission denied (publickey).; \
            fatal: Could not read from remote repository.";
        assert_eq!(reason(ssh), told);
        assert_eq!(reason(b"fatal: no\nhint: yes\n"), "fatal: no");
        assert_eq!(reason(b"one\ntwo\n"), "two");
        assert_eq!(reason(b""), "it did not say why");
    }
}
