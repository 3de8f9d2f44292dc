//! `cargo xtask demo`: a master, a worker, a build and a launcher, on this machine.
//!
//! All state is below `target/demo`, made anew each time. Nothing is left running.

mod interrupts;
mod state;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::cargo::root;
use crate::child::Daemon;
use crate::release::{self, Programs};
use crate::say;
use interrupts::{Interrupted, Interrupts};
use state::State;

const CONFIGURATION: &str = "examples/master.toml";
const TO_BUILD: Duration = Duration::from_secs(120);

/// Shows everything once, then stays until Ctrl-C unless `once`.
pub(crate) fn main(once: bool) -> anyhow::Result<()> {
    say("building in release …");
    let programs = release::build()?;
    let state = State::make(&programs)?;
    // From here on a signal is an order to stop what was started.
    let interrupts = Interrupts::listen()?;
    let mut demo = Demo { programs, state, interrupts, master: None, worker: None };
    let mut shown = demo.start().and_then(|()| demo.show());
    if !once && shown.is_ok() {
        demo.say_what_to_try();
        demo.interrupts.wait();
        say("");
    }
    if shown.as_ref().is_err_and(|error| error.is::<Interrupted>()) {
        say("");
        shown = shown.context("the demo was stopped");
    }
    let stopped = demo.stop();
    shown.and(stopped)
}

/// The demo and its processes.
struct Demo {
    programs: Programs,
    state: State,
    interrupts: Interrupts,
    master: Option<Daemon>,
    worker: Option<Daemon>,
}

impl Demo {
    fn start(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.programs.master);
        command.current_dir(root()).args(["--config", CONFIGURATION]);
        let log = self.state.path("master.log");
        let master = self.master.insert(Daemon::start("master", &mut command, &log)?);
        let mut pause = |length| Ok(self.interrupts.pause(length)?);
        master.wait_for_with("ready: ", &mut pause)?;
        say(&format!("the master is ready   (master --config {CONFIGURATION})"));
        let mut command = Command::new(&self.programs.worker);
        command.arg("--config").arg(self.state.path("worker.toml"));
        let log = self.state.path("worker.log");
        let worker = self.worker.insert(Daemon::start("worker", &mut command, &log)?);
        worker.wait_for_with("attached", &mut pause)?;
        say("the worker is attached");
        Ok(())
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

    fn wait_for_build(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let mut command = self.master_command();
            let output = self.interrupts.output(command.args(["builds", "--json"]))?;
            let builds: Vec<Value> = String::from_utf8_lossy(&output.stdout)
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            let result = builds.iter().find_map(|build| build["result"].as_str());
            match result {
                Some("SUCCESS" | "WARNINGS") => return Ok(()),
                Some("") | None if begun.elapsed() < TO_BUILD => {
                    self.interrupts.pause(Duration::from_millis(50))?;
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

    fn run_and_show(&mut self, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
        say(&format!("$ {name} {}", arguments.join(" ")));
        let mut command = self.master_command();
        let output = self.interrupts.output(command.args(arguments))?;
        say(String::from_utf8_lossy(&output.stdout).trim_end());
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        Ok(())
    }

    fn call_launcher(&mut self) -> anyhow::Result<()> {
        let launcher = self.state.path("bin/hello");
        say("$ hello \"$USER\" 'from a symlink'");
        let user = std::env::var("USER").unwrap_or_else(|_| "you".to_owned());
        let mut command = Command::new(&launcher);
        command.args([user.as_str(), "from a symlink"]);
        command.env("CHANGEPORT_MASTER", self.state.change_address());
        let output = self.interrupts.output(&mut command)?;
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

    /// Ends commands, worker and master, in this order, as far as they were started.
    fn stop(self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        if let Some(worker) = self.worker {
            let mut command = Command::new(&self.programs.worker);
            command.arg("--config").arg(self.state.path("worker.toml")).args(["stop", "--kill"]);
            // A second Ctrl-C is not for it.
            match command.process_group(0).output() {
                Ok(killed) if killed.status.success() => {}
                Ok(killed) => say(String::from_utf8_lossy(&killed.stderr).trim_end()),
                Err(error) => say(&format!("stop the worker: {error}")),
            }
            outcome = worker.stop();
        }
        if let Some(master) = self.master {
            outcome = outcome.and(master.stop());
        }
        outcome?;
        say("stopped; nothing is left running");
        Ok(())
    }
}
