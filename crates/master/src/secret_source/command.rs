//! `command = [...]`: what a program says, such as a password manager. No shell sees it.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use config::{AtLeastOne, Code, Context, Decode as _, Diagnostic, Entry};
use rustix::process::{Pid, Signal, kill_process_group};
use secret::Secret;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::value::{READ_BYTES, buffer, value};
use super::{Kind, SecretError, SecretSource};

/// A program that takes longer is killed. A step waits for it.
const LIMIT: Duration = Duration::from_secs(10);
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Who the master runs as: a password manager looks for its store there.
const INHERITED: [&str; 3] = ["HOME", "LOGNAME", "USER"];

/// A program that says the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSource {
    argv: Vec<String>,
}

/// Why a program said no value. What it wrote is never shown: it may be a part of one.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("run `{program}`: {source}")]
    Start { program: String, source: io::Error },
    #[error("hear `{program}`: {source}")]
    Hear { program: String, source: io::Error },
    #[error("`{program}` did not end within {LIMIT:?}")]
    Late { program: String },
    #[error("`{program}` failed: {status}; run it as the user of the master to see why")]
    Failed { program: String, status: std::process::ExitStatus },
}

pub(super) const KIND: Kind = Kind { key: "command", decode };

fn decode(entry: &Entry, cx: &mut Context<'_>) -> Option<SecretSource> {
    let AtLeastOne(argv) = AtLeastOne::<String>::decode(&entry.value, cx)?;
    if argv.first().is_some_and(String::is_empty) {
        let message = "the first element is the program";
        cx.report(Diagnostic::new(Code::OutOfRange, entry.value.span, message));
        return None;
    }
    Some(SecretSource::Command(CommandSource { argv }))
}

impl CommandSource {
    pub(super) async fn read(&self) -> Result<Secret, SecretError> {
        let program = self.argv.first().cloned().unwrap_or_default();
        let child = self.command().spawn();
        let start = |source| CommandError::Start { program: program.clone(), source };
        let mut group = Group::of(child.map_err(start)?);
        let late = |_late| CommandError::Late { program: program.clone() };
        tokio::time::timeout(LIMIT, group.hear(&program)).await.map_err(late)?
    }

    fn command(&self) -> Command {
        let (program, arguments) = self
            .argv
            .split_first()
            .map_or(("", &[][..]), |(program, rest)| (program.as_str(), rest));
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", PATH).env("LANG", "C.UTF-8");
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// The program with all that it starts; they end with it.
struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { child, leader: id.and_then(Pid::from_raw) }
    }

    async fn hear(&mut self, program: &str) -> Result<Secret, SecretError> {
        let hear = |source| CommandError::Hear { program: program.to_owned(), source };
        let mut said = buffer();
        if let Some(stdout) = self.child.stdout.take() {
            stdout.take(READ_BYTES as u64).read_to_end(&mut said).await.map_err(hear)?;
        }
        // One that says too much gets no end: it is not waited for, but killed.
        if said.len() == READ_BYTES {
            return Ok(value(&said)?);
        }
        let status = self.child.wait().await.map_err(hear)?;
        self.leader = None;
        if !status.success() {
            return Err(CommandError::Failed { program: program.to_owned(), status }.into());
        }
        Ok(value(&said)?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader
            && let Err(error) = kill_process_group(leader, Signal::KILL)
        {
            tracing::debug!("kill a program that says a secret: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(argv: &[&str]) -> Result<Vec<u8>, String> {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        let read = CommandSource { argv }.read().await;
        read.map(|secret| secret.expose().to_vec()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn what_a_program_says_is_the_value_and_nothing_of_it_is_in_an_error() {
        assert_eq!(said(&["printf", "%s\\n", "a b; $c"]).await.unwrap(), b"a b; $c");
        let failed = said(&["sh", "-c", "echo hunter2; echo hunter3 >&2; exit 3"]).await;
        let why = "`sh` failed: exit status: 3; run it as the user of the master to see why";
        assert_eq!(failed.unwrap_err(), why);
        let absent = said(&["no-such-program"]).await.unwrap_err();
        assert_eq!(absent, "run `no-such-program`: No such file or directory (os error 2)");
        let long = said(&["sh", "-c", "yes 0123456789"]).await.unwrap_err();
        assert_eq!(long, "it is longer than 65536 bytes");
        let short = said(&["echo", "short"]).await.unwrap_err();
        assert!(short.starts_with("it is shorter"), "{short}");
    }

    #[tokio::test]
    async fn its_environment_is_built_from_nothing() {
        let env = String::from_utf8(said(&["env"]).await.unwrap()).unwrap();
        let mut names: Vec<&str> = env.lines().filter_map(|line| line.split('=').next()).collect();
        names.retain(|name| !INHERITED.contains(name));
        names.sort_unstable();
        assert_eq!(names, ["LANG", "PATH"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_too_long_is_late() {
        let late = said(&["sh", "-c", "sleep 3600; echo hunter2"]).await.unwrap_err();
        assert_eq!(late, "`sh` did not end within 10s");
    }
}
