//! A rig for the daemon: a data directory, a master of few words, and the real binaries.

mod master;
mod process;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use proto::message::command::{CommandId, Program, Start};

pub(crate) use master::{Master, Session, refusal, welcome as master_welcome};
pub(crate) use process::Daemon;

/// No condition of a test takes longer on a machine that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A worker's configuration and data, and the master it connects to.
pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) master: Master,
}

impl Rig {
    pub(crate) fn new() -> Self {
        build_shim();
        let folder = tempfile::tempdir().unwrap();
        let master = Master::new();
        let token = folder.path().join("token");
        fs::write(&token, "secret\n").unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        let rig = Self { folder, master };
        rig.configure("");
        rig
    }

    /// Writes the configuration, with more lines at its end.
    pub(crate) fn configure(&self, more: &str) {
        let text = format!(
            "masters = [\"{}\"]\nname = \"w1\"\ndata = \"data\"\nmax_builds = 4\n\
             token = {{ file = \"token\" }}\n{more}",
            self.master.address()
        );
        fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("worker.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn start(&self) -> Daemon {
        Daemon::start(&self.config(), &self.path("log"))
    }

    /// Starts the daemon and attaches it to a new session of the master.
    pub(crate) fn attach(&self, session: i64) -> (Daemon, Session) {
        let daemon = self.start();
        (daemon, self.master.attach(1, session))
    }

    pub(crate) fn worker(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
        command.arg("--config").arg(self.config()).args(arguments).output().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn spool_entry(&self, command: CommandId) -> PathBuf {
        let name = format!("{:016x}{:016x}", command.incarnation, command.counter);
        self.data().join("spool").join(name)
    }
}

impl Drop for Rig {
    /// Ends what a failed test left running.
    fn drop(&mut self) {
        let Ok(entries) = fs::read_dir(self.data().join("spool")) else { return };
        for entry in entries.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(shim::CommandId::from_name) else {
                continue;
            };
            if let Ok(channel) = shim::EventChannel::adopt(&entry.path()) {
                use std::io::Write as _;
                let mut socket = channel.0;
                let kill = shim::Request::Stop { signal: 9, grace_ms: 0 };
                socket.write_all(&kill.encode()).ok();
            }
            let Ok(spool) = shim::SpoolRoot::open(&self.data().join("spool")) else { return };
            eventually("a command is gone", || spool.sweep(id, None).killed == 0);
        }
    }
}

static NEXT: AtomicI64 = AtomicI64::new(1);

/// A command of its own, unique on this machine: sweeps look for it everywhere.
pub(crate) fn start(session: &Session, program: Program, argv: &[&str]) -> Start {
    let counter = NEXT.fetch_add(1, Ordering::Relaxed);
    Start {
        epoch: session.epoch,
        session: session.session,
        command: CommandId { incarnation: u64::from(std::process::id()), counter },
        program,
        argv: argv.iter().map(|word| (*word).into()).collect(),
        env: Vec::new(),
        builder: "ci".to_owned(),
        slot: 0,
        workdir: "".into(),
        timeout_ms: None,
        silence_timeout_ms: None,
        max_output_bytes: None,
        max_processes: None,
        memory_bytes: None,
        properties_file: None,
        secrets: Vec::new(),
        secret_env: Vec::new(),
    }
}

/// A script that writes a line to `witness`, 2,000 lines to its output, waits for `gate` and
/// says how it ended.
pub(crate) fn long_script(rig: &Rig) -> String {
    format!(
        "echo $$ >> {}; for i in $(seq 2000); do echo \"line $i\"; done; echo oops >&2; \
         until [ -e {} ]; do sleep 0.01; done; echo done",
        rig.path("witness").display(),
        rig.path("gate").display()
    )
}

/// What `long_script` writes to its standard output.
pub(crate) fn long_output() -> String {
    (1..=2000).map(|i| format!("line {i}\n")).chain(["done\n".to_owned()]).collect()
}

/// Looks again until a condition of another process holds.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < PATIENCE, "{what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5)); // poll: a condition of another process
    }
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

pub(crate) fn pid_in(path: &Path) -> i32 {
    let read = || fs::read_to_string(path).unwrap_or_default();
    eventually("a pid is written", || read().ends_with('\n'));
    read().lines().last().unwrap().parse().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Builds the supervisor beside the worker: no test of this crate would otherwise have it.
fn build_shim() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_worker")).parent().unwrap();
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--quiet", "--package", "shim", "--target-dir"]);
        command.arg(folder.parent().unwrap());
        if folder.ends_with("release") {
            command.arg("--release");
        }
        assert!(command.status().unwrap().success(), "the shim builds");
    });
}
