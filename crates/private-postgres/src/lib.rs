//! The PostgreSQL server of a test run: made once, on a Unix socket only, gone with the process.
//! For tests alone.
//!
//! A shell owns the server and waits for the end of its own input, which comes however this
//! process ends; then it stops the server and removes its directory.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

const SCRIPT: &str = r#"
set -e
dir=$(mktemp -d /tmp/yardmaster-postgres.XXXXXX)
server=
trap 'test -z "$server" || { kill -QUIT $server; wait $server; } ; rm -rf "$dir"' EXIT
cd "$dir"
"$1/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >log 2>&1 || { cat log >&2; exit 1; }
"$1/postgres" -D data -k "$dir" -c listen_addresses= -c fsync=off </dev/null >>log 2>&1 &
server=$!
until "$1/pg_isready" -q -h "$dir"; do kill -0 $server; sleep 0.05; done
echo "$dir"
cat >/dev/null
"#;

/// A running server. It ends with this value, or with the process.
#[derive(Debug)]
pub struct Server {
    socket_dir: PathBuf,
    shell: Child,
}

impl Server {
    /// Starts a server for one test that does to it what others must not feel, or says that the
    /// test is skipped.
    ///
    /// # Panics
    /// When a server is installed and does not start.
    pub fn of_its_own(test: &str) -> Option<Self> {
        let server = bin_dir().map(|bin| start(&bin));
        if server.is_none() {
            skip(&format!("{test}: no PostgreSQL server is installed"));
        }
        server
    }

    /// Returns where its socket is.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Stops every process of it where it stands; no connection is closed.
    ///
    /// # Panics
    /// When its processes are not found.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets every process of it go on.
    ///
    /// # Panics
    /// When its processes are not found.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let file = self.socket_dir.join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).expect("the server notes its pid");
        let first = text.lines().next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        let first = first.expect("the first line is the pid");
        // It goes first: it makes no new processes meanwhile.
        kill_process(first, signal).expect("signal the server");
        for child in children_of(first) {
            // It may have ended just now.
            let _is_gone = kill_process(child, signal).is_err();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A frozen server cannot end.
        self.signal(Signal::CONT);
        drop(self.shell.stdin.take());
        self.shell.wait().expect("the shell ends with its input");
    }
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let children = entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let fields = stat.rsplit_once(") ")?.1;
        let its: i32 = fields.split(' ').nth(1)?.parse().ok()?;
        (Pid::from_raw(its) == Some(parent)).then_some(pid)
    });
    children.collect()
}

static SERVER: OnceLock<Option<Server>> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Returns where the server's socket is, or says which test is skipped.
///
/// # Panics
/// When a server is installed and does not start.
pub fn socket_dir(test: &str) -> Option<&'static Path> {
    let server = SERVER.get_or_init(|| bin_dir().map(|bin| start(&bin)));
    if server.is_none() {
        skip(&format!("{test}: no PostgreSQL server is installed"));
    }
    server.as_ref().map(|server| server.socket_dir.as_path())
}

/// Returns a name for a database that no other test has.
pub fn fresh_name() -> String {
    format!("yard_{}", DATABASES.fetch_add(1, Ordering::Relaxed))
}

/// Returns one of the programs that come with the server.
///
/// # Panics
/// When none is installed.
pub fn program(name: &str) -> PathBuf {
    bin_dir().expect("a server is installed").join(name)
}

/// Finds the server's programs: where the environment says, else the newest Debian has.
fn bin_dir() -> Option<PathBuf> {
    if let Some(bin) = std::env::var_os("YARDMASTER_POSTGRES_BIN") {
        return Some(PathBuf::from(bin));
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let bins = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    bins.filter(|bin| bin.join("initdb").exists()).max()
}

fn start(bin: &Path) -> Server {
    // The server refuses to run as root.
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let mut shell = command
        .args(["-c", SCRIPT, "sh"])
        .arg(bin)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("start a shell for PostgreSQL");
    let mut line = String::new();
    let stdout = shell.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("read where PostgreSQL is");
    assert!(!line.is_empty(), "PostgreSQL did not start; see above");
    Server { socket_dir: PathBuf::from(line.trim_end()), shell }
}

/// Says which test cannot run, and why.
///
/// # Panics
/// When the list of skipped tests cannot be written.
#[expect(clippy::print_stdout, reason = "tests that cannot run say so where tests speak")]
pub fn skip(reason: &str) {
    println!("SKIPPED: {reason}");
    if let Some(path) = std::env::var_os("YARDMASTER_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "SKIPPED: {reason}"));
        written.expect("note what was skipped");
    }
}
