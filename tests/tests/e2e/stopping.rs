//! SIGTERM ends a daemon within two seconds, whatever it is about; a second one ends it at once.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{Client, Daemon, SqliteLock, Yard, finish, wait_until};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

const LIMIT: Duration = Duration::from_secs(2);
/// Less than a daemon allows itself after the first signal.
const AT_ONCE: Duration = Duration::from_secs(1);

const WAITS: &str = r#"
app.waits = { builder = "waits", on_disconnect = "keep" }
[builder.waits]
workers = ["local"]
steps = [{ name = "waits", command = ["sleep", "1000"] }]
"#;

fn descriptors(pid: Pid) -> usize {
    let folder = format!("/proc/{}/fd", pid.as_raw_nonzero());
    fs::read_dir(folder).expect("the daemon runs").count()
}

/// Has the master commit something that it cannot, and returns who waits for it.
fn keep_busy(yard: &Yard, master: &Daemon) -> Client {
    let before = descriptors(master.pid());
    let client = yard.start_changeport(&["submit", "waits"]);
    wait_until("a connection of the client", || (descriptors(master.pid()) > before).then_some(()));
    client
}

fn end(client: Client) {
    kill_process(client.pid(), Signal::KILL).expect("the client waits");
    client.finish();
}

#[test]
fn a_master_that_cannot_write_ends_within_two_seconds() {
    let yard = Yard::new(WAITS);
    let master = yard.start_master();
    let _held = SqliteLock::take(&yard.path("master/state.db"));
    let client = keep_busy(&yard, &master);
    let begun = Instant::now();
    let (code, log) = master.stop();
    assert!(begun.elapsed() < LIMIT, "{:?}\n{log}", begun.elapsed());
    assert_eq!(code, 0, "{log}");
    end(client);
}

#[test]
fn a_second_signal_ends_a_master_at_once() {
    let yard = Yard::new(WAITS);
    let mut master = yard.start_master();
    let _held = SqliteLock::take(&yard.path("master/state.db"));
    let client = keep_busy(&yard, &master);
    master.signal(Signal::TERM);
    master.wait_for("stopping");
    let begun = Instant::now();
    let (code, log) = master.stop();
    assert!(begun.elapsed() < AT_ONCE, "{:?}\n{log}", begun.elapsed());
    assert_eq!(code, 0, "{log}");
    end(client);
}

/// Has the worker read a file that never comes to an end, by killing a supervisor.
fn keep_worker_busy(yard: &Yard) {
    assert_eq!(yard.changeport(&["submit", "waits"]).code(), 0);
    let (shim, command) = wait_until("a command that runs", || {
        let (shim, command) = yard.shims().pop()?;
        let is_started = yard.path("worker/spool").join(&command).join("started").exists();
        is_started.then_some((shim, command))
    });
    let exit = yard.path("worker/spool").join(command).join("exit");
    assert!(finish(Command::new("mkfifo").arg(exit)).status.success());
    kill_process(shim, Signal::KILL).expect("the yard is ours");
    wait_until("the end of a shim", || test_kill_process(shim).is_err().then_some(()));
}

#[test]
fn a_worker_that_cannot_read_its_spool_ends_within_two_seconds() {
    let yard = Yard::new(WAITS);
    let _master = yard.start_master();
    let mut worker = yard.start_worker("");
    keep_worker_busy(&yard);
    let begun = Instant::now();
    worker.signal(Signal::TERM);
    assert_eq!(worker.exited(), 0, "{}", worker.log());
    assert!(begun.elapsed() < LIMIT, "{:?}\n{}", begun.elapsed(), worker.log());
}

#[test]
fn a_second_signal_ends_a_worker_at_once() {
    let yard = Yard::new(WAITS);
    let _master = yard.start_master();
    let mut worker = yard.start_worker("");
    keep_worker_busy(&yard);
    worker.signal(Signal::TERM);
    worker.wait_for("stopping");
    let begun = Instant::now();
    worker.signal(Signal::TERM);
    assert_eq!(worker.exited(), 0, "{}", worker.log());
    assert!(begun.elapsed() < AT_ONCE, "{:?}\n{}", begun.elapsed(), worker.log());
}
