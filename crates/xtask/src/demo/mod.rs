//! `cargo xtask demo`: a master, a worker, a build and a launcher, on this machine.
//!
//! All state is below `target/demo`, made anew each time. Nothing is left running.

mod state;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::cargo::root;
use crate::child::Daemon;
use crate::release::{self, Programs};
use crate::say;
use state::State;

const CONFIGURATION: &str = "examples/master.toml";
const TO_BUILD: Duration = Duration::from_secs(120);

/// Shows everything once, then stays until Ctrl-C unless `once`.
pub(crate) fn main(once: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime for signals")?;
    say("building in release …");
    let programs = release::build()?;
    let state = State::make(&programs)?;
    let mut running = Running::start(&programs, &state)?;
    let shown = running.show();
    if !once && shown.is_ok() {
        running.say_what_to_try();
        runtime.block_on(interrupted())?;
        say("");
    }
    let stopped = running.stop();
    shown.and(stopped)
}

async fn interrupted() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("wait for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}

/// The demo's processes.
struct Running<'a> {
    programs: &'a Programs,
    state: &'a State,
    master: Daemon,
    worker: Daemon,
}

impl<'a> Running<'a> {
    fn start(programs: &'a Programs, state: &'a State) -> anyhow::Result<Self> {
        let mut command = Command::new(&programs.master);
        command.current_dir(root()).args(["--config", CONFIGURATION]);
        let mut master = Daemon::start("master", &mut command, &state.path("master.log"))?;
        master.wait_for("ready: ")?;
        say(&format!("the master is ready   (master --config {CONFIGURATION})"));
        let mut command = Command::new(&programs.worker);
        command.arg("--config").arg(state.path("worker.toml"));
        let mut worker = Daemon::start("worker", &mut command, &state.path("worker.log"))?;
        worker.wait_for("attached")?;
        say("the worker is attached");
        Ok(Self { programs, state, master, worker })
    }

    fn show(&mut self) -> anyhow::Result<()> {
        say("\nHEAD of this checkout was pushed to a repository that the master polls:\n");
        self.wait_for_build()?;
        self.run_and_show("master", &["builds"])?;
        say("");
        self.run_and_show("master", &["logs", "ci#1/count"])?;
        say("\nand a launcher, a symlink to changeport, is called:\n");
        self.call_launcher()
    }

    fn master_command(&self) -> Command {
        let mut command = Command::new(&self.programs.master);
        command.current_dir(root()).args(["--config", CONFIGURATION]);
        command
    }

    fn wait_for_build(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let output = self.master_command().args(["builds", "--json"]).output();
            let output = output.context("ask for builds")?;
            let builds: Vec<Value> = String::from_utf8_lossy(&output.stdout)
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            let result = builds.iter().find_map(|build| build["result"].as_str());
            match result {
                Some("SUCCESS" | "WARNINGS") => return Ok(()),
                Some("") | None if begun.elapsed() < TO_BUILD => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Some("") | None => bail!("the build did not end within {TO_BUILD:?}"),
                Some(other) => {
                    self.run_and_show("master", &["builds"])?;
                    self.run_and_show("master", &["logs", "ci#1"])?;
                    bail!("the build ended with {other}");
                }
            }
        }
    }

    fn run_and_show(&self, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
        say(&format!("$ {name} {}", arguments.join(" ")));
        let output = self.master_command().args(arguments).output().context("run the master")?;
        say(String::from_utf8_lossy(&output.stdout).trim_end());
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        Ok(())
    }

    fn call_launcher(&self) -> anyhow::Result<()> {
        let launcher = self.state.path("bin/hello");
        say("$ hello \"$USER\" 'from a symlink'");
        let user = std::env::var("USER").unwrap_or_else(|_| "you".to_owned());
        let output = Command::new(&launcher)
            .args([user.as_str(), "from a symlink"])
            .env("CHANGEPORT_MASTER", self.state.change_address())
            .output()
            .context("call the launcher")?;
        say(String::from_utf8_lossy(&output.stdout).trim_end());
        say(String::from_utf8_lossy(&output.stderr).trim_end());
        say(&format!("exit code {}", output.status.code().unwrap_or(-1)));
        if !output.status.success() || !output.stdout.starts_with(b"hello from a worker") {
            bail!("the launcher did not do what it should");
        }
        Ok(())
    }

    fn say_what_to_try(&self) {
        let shown = |path: &Path| path.strip_prefix(root()).unwrap_or(path).display().to_string();
        let master = format!("{} --config {CONFIGURATION}", shown(&self.programs.master));
        say(&format!(
            "\nstate and logs are in {folder}: master.log, worker.log, master/ and worker/.\n\
             Try, in another terminal:\n  \
             {master} status\n  \
             {master} logs ci#1\n  \
             export CHANGEPORT_MASTER={address}\n  \
             {launcher} 1 2 3; echo $?\n  \
             {changeport} run hello -- --help\n  \
             git push {folder}/checkout.git HEAD:refs/heads/mine    # and see: builds\n\
             Ctrl-C stops everything.",
            folder = shown(&self.state.path("")).trim_end_matches('/'),
            address = self.state.change_address(),
            launcher = shown(&self.state.path("bin/hello")),
            changeport = shown(&self.programs.changeport),
        ));
    }

    /// Ends commands, worker and master, in this order.
    fn stop(self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.programs.worker);
        command.arg("--config").arg(self.state.path("worker.toml")).args(["stop", "--kill"]);
        let killed = command.output().context("stop the worker")?;
        if !killed.status.success() {
            say(String::from_utf8_lossy(&killed.stderr).trim_end());
        }
        self.worker.stop()?;
        self.master.stop()?;
        say("stopped; nothing is left running");
        Ok(())
    }
}
