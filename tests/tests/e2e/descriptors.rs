//! Daemons that run out of descriptors: they say so, go on with what they have, and take new
//! work once there are some again.

use std::fs;
use std::process::Command;

use e2e::{Daemon, Raw, Yard, wait_until};
use proto::Message as _;
use proto::message::hello::{Hello, Role, Welcome};
use rustix::process::{Resource, Rlimit, prlimit};

const FEW: u64 = 64;

fn config(yard: &Yard) -> String {
    let folder = yard.path("").display().to_string();
    format!(
        r#"
app.echo = {{ builder = "echo" }}
app.slow = {{ builder = "slow" }}
[builder.echo]
workers = ["local"]
steps = [{{ name = "s", command = ["echo", "hi"] }}]
[builder.slow]
workers = ["local"]
steps = [{{ name = "s", script = "echo up; until test -e {folder}gate; do sleep 0.02; done; seq 20000" }}]
"#
    )
}

fn yard() -> Yard {
    let yard = Yard::new("");
    yard.configure(&config(&yard));
    yard
}

/// Has a daemon start with few descriptors.
fn with_few(command: &mut Command) {
    let mut limited = Command::new("bash");
    limited.arg("-c").arg(format!("ulimit -n {FEW}; exec \"$@\"")).arg("limited");
    limited.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        limited.current_dir(folder);
    }
    *command = limited;
}

fn descriptors(daemon: &Daemon) -> u64 {
    let folder = format!("/proc/{}/fd", daemon.pid().as_raw_nonzero());
    fs::read_dir(folder).expect("the daemon is ours").count() as u64
}

/// Leaves a running daemon so many descriptors more than it has, and returns the limit before.
fn leave(daemon: &Daemon, more: u64) -> Rlimit {
    let limit = Rlimit { current: Some(descriptors(daemon) + more), maximum: None };
    set(daemon, limit)
}

fn set(daemon: &Daemon, limit: Rlimit) -> Rlimit {
    let before = rustix::process::getrlimit(Resource::Nofile);
    let wanted = Rlimit { maximum: before.maximum, ..limit };
    prlimit(Some(daemon.pid()), Resource::Nofile, wanted).expect("the daemon is ours")
}

fn start_slow(yard: &Yard) {
    assert_eq!(yard.changeport(&["submit", "slow"]).out(), "slow#1\n");
    wait_until("the slow command", || {
        yard.master(&["logs", "slow#1"]).out().contains("up").then_some(())
    });
}

fn finish_slow(yard: &Yard) {
    yard.write("gate", "");
}

fn assert_slow_was_whole(yard: &Yard) {
    assert_eq!(yard.results("slow", 1), ["SUCCESS"]);
    let expected: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&yard.log_of("slow#1")), format!("up\n{expected}"));
}

fn assert_well(daemon: &Daemon) {
    let log = daemon.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(log.lines().count() < 100, "it is not to say the same over and over:\n{log}");
}

/// Opens client connections until some are turned away; those that were let in stay.
fn crowd(yard: &Yard) -> Vec<Raw> {
    let mut inside = Vec::new();
    let mut outside = 0;
    while outside < 50 {
        let mut raw = yard.raw_client();
        raw.send(&Hello::new(Role::Client, None));
        match raw.receive() {
            Some(frame) if frame.kind == Welcome::KIND => inside.push(raw),
            Some(_) | None => outside += 1,
        }
    }
    inside
}

#[test]
fn a_master_with_few_descriptors_keeps_some_for_its_work() {
    let yard = yard();
    let mut master = yard.start_master_as(with_few);
    let _worker = yard.start_worker("");
    start_slow(&yard);
    // One caller is refused before all are taken; who has not said who it is takes the rest.
    let inside = crowd(&yard);
    let nameless: Vec<Raw> = (0..4).map(|_| yard.raw_client()).collect();
    master.wait_for("no descriptor is free");
    // The worker, its log and the database have theirs: everything goes on behind closed doors.
    finish_slow(&yard);
    assert_slow_was_whole(&yard);
    drop((inside, nameless));
    wait_until("room for a caller", || {
        (yard.changeport(&["run", "echo"]).out() == "hi\n").then_some(())
    });
    assert_well(&master);
}

#[test]
fn a_master_without_descriptors_turns_people_away_and_recovers() {
    let yard = yard();
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    start_slow(&yard);
    let before = leave(&master, 3);
    let inside = crowd(&yard);
    master.wait_for("Too many open files");
    finish_slow(&yard);
    drop(inside);
    set(&master, before);
    let ran = yard.changeport(&["run", "echo"]);
    assert_eq!(ran.out(), "hi\n", "{}", ran.err());
    assert_slow_was_whole(&yard);
    assert_well(&master);
}

#[test]
fn a_worker_with_few_descriptors_fills_its_places() {
    let yard = yard();
    let _master = yard.start_master();
    yard.configure_worker("max_builds = 8\n");
    let mut worker = yard.start_unattached_worker(with_few);
    worker.wait_for("attached");
    start_slow(&yard);
    (2..=8).for_each(|number| {
        assert_eq!(yard.changeport(&["submit", "slow"]).out(), format!("slow#{number}\n"));
    });
    wait_until("eight commands", || (yard.shims().len() == 8).then_some(()));
    finish_slow(&yard);
    assert_eq!(yard.results("slow", 8), ["SUCCESS"; 8]);
    assert_well(&worker);
}

#[test]
fn a_worker_without_descriptors_keeps_its_commands_and_recovers() {
    let yard = yard();
    let _master = yard.start_master();
    let worker = yard.start_worker("");
    start_slow(&yard);
    let before = leave(&worker, 0);
    let refused = yard.changeport(&["run", "echo"]);
    assert_ne!(refused.code(), 0);
    assert!(refused.err().contains("Too many open files"), "{}", refused.err());
    finish_slow(&yard);
    wait_until("the end of the slow command", || yard.shims().is_empty().then_some(()));
    set(&worker, before);
    let ran = yard.changeport(&["run", "echo"]);
    assert_eq!(ran.out(), "hi\n", "{}", ran.err());
    assert_slow_was_whole(&yard);
    assert_well(&worker);
}
