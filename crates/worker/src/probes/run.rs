//! Runs one probe to its end, or to the end of patience.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;
use std::time::Duration;

use proto::limits;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A probe looks at what is there; it does not work.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read of the output; the rest of it makes the program wait, and then fail.
const OUTPUT_BYTES: u64 = 4_096;

/// A group of processes that ends with this.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // While the child was not waited for its id belongs to nobody else.
        let id = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            kill_process_group(id, Signal::KILL).ok();
        }
    }
}

/// Returns the first line that a program says.
///
/// # Errors
/// Why there is none, in words.
pub(super) async fn run(
    argv: &[String],
    environment: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<String, String> {
    let Some((program, arguments)) = argv.split_first() else { return Err("no program".into()) };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    command.stdout(Stdio::piped()).process_group(0).kill_on_drop(true).current_dir("/");
    for (name, value) in environment {
        command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
    }
    let child = command.spawn().map_err(|error| format!("start {program}: {error}"))?;
    let finished = timeout(PATIENCE, finish(Group(child))).await;
    finished.map_err(|_late| format!("it took more than {} s", PATIENCE.as_secs()))?
}

async fn finish(mut group: Group) -> Result<String, String> {
    let mut said = Vec::new();
    if let Some(output) = group.0.stdout.take() {
        let read = output.take(OUTPUT_BYTES).read_to_end(&mut said).await;
        read.map_err(|error| format!("read what it says: {error}"))?;
    }
    let status = group.0.wait().await.map_err(|error| format!("wait for it: {error}"))?;
    if !status.success() {
        return Err(status.to_string());
    }
    first_line(&said).ok_or_else(|| "it says nothing on its first line, or too much".to_owned())
}

fn first_line(said: &[u8]) -> Option<String> {
    let line = said.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim();
    let is_good = !line.is_empty()
        && line.len() <= limits::PROBE_BYTES
        && !line.chars().any(char::is_control);
    is_good.then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn script(text: &str) -> Result<String, String> {
        let argv = ["sh", "-c", text].map(str::to_owned);
        let environment = [(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())].into();
        run(&argv, &environment).await
    }

    #[tokio::test]
    async fn the_first_line_of_one_that_ends_well_is_what_it_found() {
        assert_eq!(script("echo ' 1.26.4 '; echo more").await, Ok("1.26.4".to_owned()));
        for (text, why) in [
            ("echo 3; exit 1", "exit status: 1"),
            ("true", "it says nothing on its first line, or too much"),
            ("printf '\\377\\n'", "it says nothing on its first line, or too much"),
            ("printf 'a\\033b\\n'", "it says nothing on its first line, or too much"),
            (
                "head -c 300 /dev/zero | tr '\\0' x",
                "it says nothing on its first line, or too much",
            ),
            ("kill -9 $$", "signal: 9 (SIGKILL)"),
        ] {
            assert_eq!(script(text).await, Err(why.to_owned()), "{text}");
        }
        let argv = ["/no/such/program".to_owned()];
        assert!(run(&argv, &BTreeMap::new()).await.unwrap_err().contains("/no/such/program"));
    }

    #[tokio::test]
    async fn it_sees_only_the_environment_it_is_given_and_its_tree_ends_with_it() {
        assert_eq!(script("env | sort | head -1 | cut -d= -f1").await, Ok("PATH".to_owned()));
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let text = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let started = async {
            loop {
                let text = std::fs::read_to_string(&pid).unwrap_or_default();
                if let Ok(number) = text.trim().parse() {
                    return Pid::from_raw(number).unwrap();
                }
                tokio::task::yield_now().await;
            }
        };
        let sleeper = tokio::select! {
            sleeper = started => sleeper,
            ended = script(&text) => panic!("it ended: {ended:?}"),
        };
        while rustix::process::test_kill_process(sleeper).is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
