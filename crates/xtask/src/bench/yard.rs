//! A temporary folder with a master and a worker in it, both as they are installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::daemon_cost::DaemonCost;
use super::group::Group;
use super::probe::Crowd;
use super::process;
use crate::child::Daemon;
use crate::release::Programs;

/// `/tmp` is in memory on many machines, and memory syncs in no time.
const ON_DISK: &str = "/var/tmp";
const WORKER: &str = "bench";

/// What is measured, and with what.
#[derive(Debug)]
pub(super) struct Bench {
    programs: Programs,
    pub(super) probe: PathBuf,
    is_quick: bool,
}

impl Bench {
    pub(super) fn new(programs: Programs, probe: PathBuf, is_quick: bool) -> Self {
        Self { programs, probe, is_quick }
    }

    /// Returns how often to do something: `full` times, or `quick` times.
    pub(super) fn times(&self, full: usize, quick: usize) -> usize {
        if self.is_quick { quick } else { full }
    }
}

/// The files of a master and a worker.
#[derive(Debug)]
pub(super) struct Yard<'a> {
    bench: &'a Bench,
    folder: TempDir,
    slots: usize,
}

impl<'a> Yard<'a> {
    /// Makes a yard with a worker of so many places. Its apps are `noop`, which runs `true`,
    /// `moment`, which writes when it runs into the file `moment`, `line`, which prints it, and
    /// `lines`, which prints as many as its argument says.
    pub(super) fn new(bench: &'a Bench, slots: usize) -> anyhow::Result<Self> {
        // Sockets have short names.
        let folder = tempfile::Builder::new().prefix("ym").tempdir_in(ON_DISK);
        let yard = Self { bench, folder: folder.context("make a folder")?, slots };
        yard.write_tokens()?;
        yard.write("master.toml", &yard.master_settings(&[WORKER.to_owned()]))?;
        for app in ["noop", "moment", "line", "lines"] {
            std::os::unix::fs::symlink(&bench.programs.changeport, yard.path(app))
                .context("make a launcher")?;
        }
        Ok(yard)
    }

    /// Makes a yard for so many workers that there is no other one.
    pub(super) fn crowd(bench: &'a Bench, workers: usize) -> anyhow::Result<Self> {
        let yard = Self::new(bench, 1)?;
        let names: Vec<String> = (1..=workers).map(|number| format!("w{number}")).collect();
        yard.write("master.toml", &yard.master_settings(&names))?;
        // No secrets: what they open is gone with the folder.
        let secret = |name: &String| format!("crowd-{name}");
        let hashed = |name| format!("{name} {}\n", hex(&Sha256::digest(secret(name))));
        yard.write("tokens", &names.iter().map(hashed).collect::<String>())?;
        let secrets = names.iter().map(|name| secret(name) + "\n");
        yard.write("secrets", &secrets.collect::<String>())?;
        Ok(yard)
    }

    /// Adds apps `wait0` and so on, each with a builder that has no worker.
    pub(super) fn add_stuck_builders(&self, count: usize) -> anyhow::Result<()> {
        let mut settings = self.master_settings(&[WORKER.to_owned()]);
        let app = |number| {
            format!(
                "[app.wait{number}]\nbuilder = \"wait{number}\"\n[builder.wait{number}]\n\
                 workers = [\"absent\"]\nsteps = [{{ command = [\"true\"] }}]\n"
            )
        };
        settings += "[worker.absent]\nnames = [\"absent\"]\n";
        settings.extend((0..count).map(app));
        self.write("master.toml", &settings)
    }

    /// Attaches the workers of a crowd.
    pub(super) fn attach_crowd(&self, port: &str) -> anyhow::Result<Crowd> {
        let files = (self.path("control.sock"), self.path("secrets"));
        Crowd::attach(&self.bench.probe, port, (&files.0, &files.1))
    }

    fn master_settings(&self, workers: &[String]) -> String {
        let probe = self.bench.probe.display();
        let moment = self.path("moment.ns");
        let builder = |name: &str, command: &str| {
            format!(
                "[app.{name}]\nbuilder = \"{name}\"\n[builder.{name}]\nworkers = [\"local\"]\n\
                 steps = [{{ name = \"{name}\", command = {command} }}]\n"
            )
        };
        [
            "version = 1\n\
             master = { name = \"bench\", data = \"master\", control = \"control.sock\" }\n\
             worker_port = { listen = \"127.0.0.1:0\", token_file = \"tokens\" }\n"
                .to_owned(),
            format!("worker.local = {{ names = {workers:?}, max_builds = {} }}\n", self.slots),
            "change_source.launch = { type = \"changeport\", listen = [\"unix:change.sock\"], \
             insecure_userns = true }\n"
                .to_owned(),
            builder("noop", "[\"true\"]"),
            builder("moment", &format!("[\"{probe}\", \"moment\", \"{}\"]", moment.display())),
            builder("line", &format!("[\"{probe}\", \"moment\", \"-\"]")),
            builder("lines", &format!("[\"{probe}\", \"lines\", \"${{args}}\"]")),
        ]
        .concat()
    }

    fn write_tokens(&self) -> anyhow::Result<()> {
        let drawn = Command::new(&self.bench.programs.master).args(["token", WORKER]).output();
        let text = String::from_utf8_lossy(&drawn.context("draw a token")?.stdout).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let [token, hash] = lines.as_slice() else { bail!("no token in:\n{text}") };
        self.write("worker.token", token)?;
        fs::set_permissions(self.path("worker.token"), fs::Permissions::from_mode(0o600))
            .context("protect the token")?;
        self.write("tokens", &format!("{hash}\n"))
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns where clients find the master.
    pub(super) fn address(&self) -> String {
        format!("unix:{}", self.path("change.sock").display())
    }

    /// Returns the command `changeport`.
    pub(super) fn changeport(&self) -> String {
        self.bench.programs.changeport.display().to_string()
    }

    /// Returns the launcher of an app.
    pub(super) fn launcher(&self, app: &str) -> String {
        self.path(app).display().to_string()
    }

    /// Returns the command that starts the master.
    pub(super) fn master_command(&self) -> Command {
        let mut command = Command::new(&self.bench.programs.master);
        command.arg("--config").arg(self.path("master.toml")).current_dir(self.folder.path());
        command
    }

    /// Returns the command that starts the worker of a master that listens there.
    pub(super) fn worker_command(&self, port: &str) -> anyhow::Result<Command> {
        self.write(
            "worker.toml",
            &format!(
                "masters = [\"{port}\"]\nname = \"{WORKER}\"\ntoken = {{ file = \"worker.token\" }}\n\
                 data = \"worker\"\nmax_builds = {}\n",
                self.slots
            ),
        )?;
        let mut command = Command::new(&self.bench.programs.worker);
        command.arg("--config").arg(self.path("worker.toml")).current_dir(self.folder.path());
        Ok(command)
    }

    /// Starts both daemons.
    pub(super) fn start(&self) -> anyhow::Result<Running> {
        let (master, port) = self.start_master()?;
        let worker = self.start_worker(&mut self.worker_command(&port)?)?;
        Ok(Running { master, worker })
    }

    /// Starts both daemons, the worker in a control group with all it starts.
    pub(super) fn start_in(&self, group: &Group) -> anyhow::Result<Running> {
        let (master, port) = self.start_master()?;
        let worker = self.worker_command(&port)?;
        let mut command = Command::new(&self.bench.probe);
        command.arg("enter").arg(group.entrance()).arg(worker.get_program());
        command.args(worker.get_args()).current_dir(self.folder.path());
        let worker = self.start_worker(&mut command)?;
        Ok(Running { master, worker })
    }

    /// Returns the master and where it listens for workers.
    pub(super) fn start_master(&self) -> anyhow::Result<(Daemon, String)> {
        let mut command = self.master_command();
        let mut master = Daemon::start("master", &mut command, &self.path("master.log"))?;
        let ready = master.wait_for("ready: ")?;
        Ok((master, worker_port(&ready)?))
    }

    fn start_worker(&self, command: &mut Command) -> anyhow::Result<Daemon> {
        let mut worker = Daemon::start("worker", command, &self.path("worker.log"))?;
        worker.wait_for("attached")?;
        Ok(worker)
    }

    /// Submits many launches over one connection; returns the seconds until all have ended.
    pub(super) fn submit(&self, app: &str, count: usize) -> anyhow::Result<f64> {
        let sockets = (self.path("change.sock"), self.path("control.sock"));
        super::probe::submit(&self.bench.probe, (&sockets.0, &sockets.1), app, count)
    }

    /// Submits many launches of an app that wait; returns the seconds until all were accepted.
    pub(super) fn fill(&self, app: &str, count: usize) -> anyhow::Result<f64> {
        super::probe::fill(&self.bench.probe, &self.path("change.sock"), app, count)
    }

    /// Runs jobs that write lines, all at once; returns the seconds until all logs are there.
    pub(super) fn log(&self, jobs: usize, lines: usize) -> anyhow::Result<f64> {
        let sockets = (self.path("change.sock"), self.path("control.sock"));
        let logs = self.path("master/logs");
        super::probe::logs(&self.bench.probe, (&sockets.0, &sockets.1), &logs, (jobs, lines))
    }

    /// Waits until the master knows the end of everything, and returns that moment in ns.
    pub(super) fn when_idle(&self) -> anyhow::Result<f64> {
        super::probe::when_idle(&self.bench.probe, &self.path("control.sock"))
    }

    /// Runs a client again and again.
    pub(super) fn run(
        &self,
        times: (usize, usize),
        command: &[&str],
    ) -> anyhow::Result<Vec<super::probe::Ran>> {
        super::probe::run(&self.bench.probe, &self.address(), times, command)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Finds the address for workers in the line with which a master says that it is ready.
pub(super) fn worker_port(ready: &str) -> anyhow::Result<String> {
    let port = ready.split("workers ").nth(1).and_then(|rest| rest.split(',').next());
    Ok(port.with_context(|| format!("find the port for workers in: {ready}"))?.to_owned())
}

/// Both daemons. They end with this value, or in good order by `stop`.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) master: Daemon,
    pub(super) worker: Daemon,
}

impl Running {
    /// Returns what they used so far.
    pub(super) fn cost(&self) -> anyhow::Result<DaemonCost> {
        let (master, worker) = (self.master.pid(), self.worker.pid());
        Ok(DaemonCost {
            master_cpu_s: process::cpu_s(master)?,
            master_peak_rss_mb: process::peak_rss_mb(master)?,
            worker_cpu_s: process::cpu_s(worker)?,
            worker_peak_rss_mb: process::peak_rss_mb(worker)?,
        })
    }

    pub(super) fn stop(self) -> anyhow::Result<()> {
        self.worker.stop()?;
        self.master.stop()
    }
}

/// Reads a file that a job wrote.
pub(super) fn read_number(path: &Path) -> anyhow::Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let [number] = super::probe::numbers(&text)?;
    Ok(number)
}
