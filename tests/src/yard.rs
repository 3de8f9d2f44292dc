//! A folder with everything one test needs, and the processes that belong to it.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

use crate::binaries::{Binary, Build, binary_of};
use crate::daemon::Daemon;
use crate::groups::remove_groups;
use crate::port::Port;
use crate::process::{Finished, finish, finish_child, wait_until};
use crate::raw::Raw;
use crate::repository::Repository;
use crate::witness::Witnesses;

/// How long the id of a command is.
const ID_LETTERS: usize = 32;
/// The worker of every yard.
const WORKER: &str = "w1";

/// One test's place.
#[derive(Debug)]
pub struct Yard {
    folder: TempDir,
    build: Build,
    /// Where the master of this yard listens for workers.
    port: Port,
}

impl Yard {
    /// Makes a yard whose master is configured by `more`, after the parts every yard has: the
    /// master itself, a port for workers, the worker group `local` with worker `w1`, and the
    /// change source `launch`.
    ///
    /// # Panics
    /// When the folder cannot be filled.
    pub fn new(more: &str) -> Self {
        Self::of(Build::Plain, more)
    }

    /// The same with the programs of a build. Armed ones look for traps in the folder `traps`.
    ///
    /// # Panics
    /// When the folder cannot be filled.
    pub fn of(build: Build, more: &str) -> Self {
        // Sockets have short names.
        let folder =
            tempfile::Builder::new().prefix("ym").tempdir_in("/tmp").expect("make a folder");
        let yard = Self { folder, build, port: Port::reserve() };
        fs::create_dir(yard.traps()).expect("make a folder for traps");
        yard.draw_token(WORKER, "worker.token", "tokens");
        yard.configure(more);
        yard
    }

    /// Writes the master's configuration anew.
    pub fn configure(&self, more: &str) {
        self.write("master.toml", &format!("{}{more}", self.base("")));
    }

    /// Writes a configuration with another database.
    pub fn configure_with_state(&self, state: &str, more: &str) {
        self.write(
            "master.toml",
            &format!("{}{more}", self.base(&format!(", state = \"{state}\""))),
        );
    }

    fn base(&self, state: &str) -> String {
        let listen = self.worker_address();
        format!(
            r#"version = 1
master = {{ name = "yard", data = "master", control = "control.sock"{state} }}
worker_port = {{ listen = "{listen}", token_file = "tokens" }}
worker.local = {{ names = ["{WORKER}"], max_builds = 8 }}
change_source.launch = {{ type = "changeport", listen = ["unix:change.sock"], insecure_userns = true }}
"#
        )
    }

    /// Leaves the folder where it is when the yard goes, and returns it.
    pub fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    /// Returns a path in the yard.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the folder in which armed programs look for traps.
    pub fn traps(&self) -> PathBuf {
        self.path("traps")
    }

    /// Writes a file of the yard.
    ///
    /// # Panics
    /// When that fails.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
    }

    /// Returns the witnesses of this yard's commands.
    pub fn witnesses(&self) -> Witnesses {
        Witnesses::new(self.path("witnesses"))
    }

    /// Makes a bare repository with a clone beside it.
    pub fn repository(&self, name: &str) -> Repository {
        Repository::new(self.folder.path(), name)
    }

    /// Draws a token and writes it into one file, its hash into another.
    ///
    /// # Panics
    /// When none is drawn.
    pub fn draw_token(&self, name: &str, secret: &str, hashes: &str) {
        let drawn = finish(self.bare_master_command().args(["token", name]));
        let text = drawn.out();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let [token, hash] = lines.as_slice() else { panic!("no token in:\n{text}") };
        self.write(secret, token);
        fs::set_permissions(self.path(secret), fs::Permissions::from_mode(0o600))
            .expect("protect the token");
        self.write(hashes, &format!("{hash}\n"));
    }

    /// Returns a command of the master's program with this yard's configuration.
    pub fn master_command(&self) -> Command {
        let mut command = self.bare_master_command();
        command.arg("--config").arg(self.path("master.toml"));
        command
    }

    /// Returns a command of the master's program, without a configuration.
    pub fn bare_master_command(&self) -> Command {
        self.program(Binary::Master)
    }

    /// Returns a command of the worker's program, without a configuration.
    pub fn bare_worker_command(&self) -> Command {
        self.program(Binary::Worker)
    }

    fn program(&self, which: Binary) -> Command {
        let mut command = Command::new(binary_of(self.build, which));
        self.place(&mut command);
        command
    }

    /// Makes a command run in this yard, and see its traps where it can.
    fn place(&self, command: &mut Command) {
        command.current_dir(self.folder.path());
        if self.build == Build::Armed {
            command.env(failpoint::FOLDER, self.traps());
        }
    }

    /// Starts the master and waits until it is ready.
    pub fn start_master(&self) -> Daemon {
        self.start_master_as(|_command| {})
    }

    /// Starts the master by a command that was changed before, such as by another environment.
    pub fn start_master_as(&self, change: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = self.master_command();
        change(&mut command);
        let mut daemon = Daemon::start("master", &mut command);
        daemon.wait_for("ready: ");
        daemon
    }

    /// Starts the master, and waits for no more than that it takes orders to end.
    pub fn start_master_unready(&self) -> Daemon {
        let daemon = Daemon::start("master", &mut self.master_command());
        wait_until("the handlers of its signals", || catches_term(daemon.pid()).then_some(()));
        daemon
    }

    /// Has the next master listen for workers elsewhere.
    ///
    /// # Panics
    /// When the configuration cannot be read.
    pub fn move_to(&mut self, port: Port) {
        let text = fs::read_to_string(self.path("master.toml")).expect("read the configuration");
        self.write("master.toml", &text.replace(self.worker_address(), port.address()));
        self.port = port;
    }

    /// Starts a daemon of another build in this yard, and does not wait.
    pub fn start_program(&self, command: &mut Command) -> Daemon {
        Daemon::start("other build", command.current_dir(self.folder.path()))
    }

    /// Returns where the master listens for workers.
    pub fn worker_address(&self) -> &str {
        self.port.address()
    }

    /// Returns the shims of this yard that live, each with the id of its command.
    pub fn shims(&self) -> Vec<(Pid, String)> {
        self.shims_of("worker")
    }

    /// Returns the shims of one of its workers, by the folder of the worker's data.
    pub fn shims_of(&self, data: &str) -> Vec<(Pid, String)> {
        let spool = self.path(data).join("spool");
        let mut shims = Vec::new();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = process.file_name();
            let pid = name.to_str().and_then(|text| text.parse().ok()).and_then(Pid::from_raw);
            let program = fs::read_link(process.path().join("exe")).unwrap_or_default();
            let is_shim = program.file_name().is_some_and(|name| name == "yardmaster-shim");
            let (Some(pid), true) = (pid, is_shim && supervises(&process.path(), &spool)) else {
                continue;
            };
            if let Some(command) = locked_in(&process.path(), &spool) {
                shims.push((pid, command));
            }
        }
        shims
    }

    /// Returns the commands that one of its workers has not forgotten, by the folder of the
    /// worker's data. What else is in a spool belongs to none.
    pub fn spooled(&self, data: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(data).join("spool")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.len() == ID_LETTERS).collect()
    }

    /// Returns everything that runs in this yard: daemons, supervisors, commands, clients.
    pub fn processes(&self) -> Vec<Pid> {
        processes_in(self.folder.path())
    }

    /// Starts the worker, with more keys in its configuration, and waits until it is attached.
    pub fn start_worker(&self, more: &str) -> Daemon {
        self.configure_worker(&format!("max_builds = 8\n{more}"));
        self.start_configured_worker()
    }

    /// Writes the worker's configuration, with more keys after those every worker has.
    pub fn configure_worker(&self, more: &str) {
        self.configure_worker_of(&[self.worker_address()], more);
    }

    /// Writes the worker's configuration with the addresses it looks for a master at.
    pub fn configure_worker_of(&self, masters: &[&str], more: &str) {
        self.write(
            "worker.toml",
            &format!(
                "masters = {masters:?}\nname = \"{WORKER}\"\ntoken = {{ file = \"worker.token\" }}\n\
                 data = \"worker\"\nrepositories = {{ allow_local = true }}\n{more}"
            ),
        );
    }

    /// Starts the worker as it is configured and waits until it is attached.
    pub fn start_configured_worker(&self) -> Daemon {
        let mut daemon = self.start_unattached_worker(|_command| {});
        daemon.wait_for("attached");
        daemon
    }

    /// Starts the worker by a command that was changed before, and does not wait.
    pub fn start_unattached_worker(&self, change: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = self.worker_command();
        change(&mut command);
        Daemon::start("worker", &mut command)
    }

    /// Starts the master and does not wait.
    pub fn start_unready_master(&self) -> Daemon {
        Daemon::start("master", &mut self.master_command())
    }

    /// Starts a worker by another configuration file of this yard, and does not wait.
    pub fn start_worker_of(&self, configuration: &str) -> Daemon {
        self.start_worker_through(&[], configuration, |_command| {})
    }

    /// Starts a worker by a program that becomes it, such as `nsenter`, and does not wait.
    pub fn start_worker_through(
        &self,
        prefix: &[String],
        configuration: &str,
        change: impl FnOnce(&mut Command),
    ) -> Daemon {
        let mut command = match prefix {
            [] => self.bare_worker_command(),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(binary_of(self.build, Binary::Worker));
                self.place(&mut command);
                command
            }
        };
        command.arg("--config").arg(self.path(configuration));
        change(&mut command);
        Daemon::start("worker", &mut command)
    }

    /// Returns a command of the worker's program with this yard's configuration.
    pub fn worker_command(&self) -> Command {
        let mut command = self.bare_worker_command();
        command.arg("--config").arg(self.path("worker.toml"));
        command
    }

    /// Connects to the change socket, by no program of ours.
    pub fn raw_client(&self) -> Raw {
        Raw::unix(&self.path("change.sock"))
    }

    /// Connects to the port of the workers, by no program of ours.
    pub fn raw_worker(&self) -> Raw {
        Raw::tcp(self.worker_address())
    }

    /// Runs a command line of the worker to its end.
    pub fn worker(&self, arguments: &[&str]) -> Finished {
        finish(self.worker_command().args(arguments))
    }

    /// Runs a command line of the master to its end.
    pub fn master(&self, arguments: &[&str]) -> Finished {
        finish(self.master_command().args(arguments))
    }

    /// Asks the master by a command line with `--json` and returns the objects it prints.
    ///
    /// # Panics
    /// When the command fails or prints something else.
    pub fn ask(&self, arguments: &[&str]) -> Vec<Value> {
        let finished = finish(self.master_command().args(arguments).arg("--json"));
        assert!(finished.status.success(), "master {arguments:?}: {}", finished.err());
        let object = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|bad| panic!("{bad} in: {line}"))
        };
        finished.out().lines().map(object).collect()
    }

    /// Waits until a builder has so many builds that have ended, and returns the result of each,
    /// oldest first.
    ///
    /// # Panics
    /// When they do not come, or there are more.
    pub fn results(&self, builder: &str, count: usize) -> Vec<String> {
        wait_until(&format!("the end of {count} builds of {builder}"), || {
            let builds = self.ask(&["builds", builder, "--limit", "500"]);
            assert!(builds.len() <= count, "more than {count} builds: {builds:#?}");
            let words: Vec<String> = builds
                .iter()
                .rev()
                .filter_map(|build| build["result"].as_str().map(str::to_owned))
                .filter(|word| !word.is_empty())
                .collect();
            (words.len() == count).then_some(words)
        })
    }

    /// Returns what `master logs` prints of a build or step.
    ///
    /// # Panics
    /// When there is no such build.
    pub fn log_of(&self, build: &str) -> Vec<u8> {
        let finished = self.master(&["logs", build]);
        assert!(finished.status.success(), "logs of {build}: {}", finished.err());
        finished.stdout
    }

    /// Returns a command of the client's program that speaks to this yard's master.
    pub fn changeport_command(&self) -> Command {
        let mut command = self.program(Binary::Changeport);
        self.speak_to_master(&mut command);
        command
    }

    fn speak_to_master(&self, command: &mut Command) {
        let address = format!("unix:{}", self.path("change.sock").display());
        command.env("CHANGEPORT_MASTER", address).current_dir(self.folder.path());
    }

    /// Runs the client to its end.
    pub fn changeport(&self, arguments: &[&str]) -> Finished {
        finish(self.changeport_command().args(arguments))
    }

    /// Starts the client with its output piped.
    pub fn start_changeport(&self, arguments: &[&str]) -> Client {
        Client::start(self.changeport_command().args(arguments))
    }

    /// Makes a launcher: a symlink to the client under the name of an app.
    pub fn launcher(&self, app: &str) -> Command {
        self.launcher_called(OsStr::new(app))
    }

    /// Makes a launcher whose name may be any bytes.
    pub fn launcher_called(&self, app: &OsStr) -> Command {
        let link = self.folder.path().join(app);
        if !link.exists() {
            std::os::unix::fs::symlink(binary_of(self.build, Binary::Changeport), &link)
                .expect("make a symlink");
        }
        let mut command = Command::new(link);
        self.speak_to_master(&mut command);
        command
    }
}

/// A client that runs while the test does other things.
#[derive(Debug)]
pub struct Client {
    child: Child,
}

impl Client {
    /// Starts a command of the client with its output piped.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().expect("start the client") }
    }

    /// Returns its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until it says something on stderr and returns that line, which `finish` then lacks.
    ///
    /// # Panics
    /// When it ends without a word.
    pub fn hears(&mut self) -> String {
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        let mut line = Vec::new();
        let mut byte = [0];
        while byte != *b"\n" {
            stderr.read_exact(&mut byte).expect("it says something");
            line.extend(byte);
        }
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Waits for its end.
    pub fn finish(self) -> Finished {
        finish_child(self.child)
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        end_everything_in(self.folder.path());
        remove_groups(self.folder.path());
    }
}

fn catches_term(pid: Pid) -> bool {
    let file = format!("/proc/{}/status", pid.as_raw_pid());
    let status = fs::read_to_string(file).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
    caught & (1 << (Signal::TERM.as_raw() - 1)) != 0
}

/// Returns the command whose spool entry a process holds open.
fn locked_in(process: &Path, spool: &Path) -> Option<String> {
    let mut files = fs::read_dir(process.join("fd")).ok()?.flatten();
    files.find_map(|file| {
        let target = fs::read_link(file.path()).ok()?;
        let command = target.strip_prefix(spool).ok()?.iter().next()?;
        target.ends_with("lock").then(|| command.to_string_lossy().into_owned())
    })
}

/// Tells a supervisor from its spawner and from its child before exec: all three may have the lock
/// of a command open, but only the supervisor leads a session and has a parent without the lock.
fn supervises(process: &Path, spool: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    let Some((head, fields)) = stat.rsplit_once(") ") else { return false };
    let mut fields = fields.split(' ').skip(1);
    let (parent, session) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
    let leads = head.split(' ').next() == Some(session);
    leads && locked_in(&Path::new("/proc").join(parent), spool).is_none()
}

fn end_everything_in(folder: &Path) {
    for pid in processes_in(folder) {
        // It may be gone by now.
        let _is_gone = rustix::process::kill_process(pid, Signal::KILL).is_err();
    }
}

/// Returns every process that mentions the folder, or has its working directory there, but this.
fn processes_in(folder: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| {
        let name = entry.file_name();
        let pid = Pid::from_raw(name.to_str()?.parse::<i32>().ok()?)?;
        (pid != rustix::process::getpid() && belongs_to(&entry.path(), folder)).then_some(pid)
    });
    pids.collect()
}

fn belongs_to(process: &Path, folder: &Path) -> bool {
    let needle = folder.as_os_str().as_encoded_bytes();
    let mentions = |file: &str| {
        let text = fs::read(process.join(file)).unwrap_or_default();
        text.windows(needle.len()).any(|window| window == needle)
    };
    let cwd = fs::read_link(process.join("cwd")).unwrap_or_default();
    cwd.starts_with(folder) || mentions("cmdline")
}
