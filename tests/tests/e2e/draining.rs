//! `worker drain`: no new builds, those that run to their end with every step, then the end.

use std::fs;

use e2e::{Client, Daemon, Yard, wait_until};
use rustix::process::{Signal, kill_process};

/// Two steps; the first waits for a gate.
fn builders(yard: &Yard) -> String {
    let gate = yard.path("gate").display().to_string();
    format!(
        r#"
app.two = {{ builder = "two", on_disconnect = "keep" }}
[builder.two]
workers = ["local"]
steps = [
    {{ name = "first", script = "echo up >&2; until test -e {gate}; do sleep 0.02; done; echo one" }},
    {{ name = "second", script = "echo two" }},
]
"#
    )
}

fn open_gate(yard: &Yard) {
    fs::write(yard.path("gate"), "").expect("the yard is ours");
}

/// A yard in which the first step of `two#1` waits for its gate.
fn half_way() -> (Yard, Daemon, Daemon) {
    let yard = Yard::new("");
    yard.configure(&builders(&yard));
    let master = yard.start_master();
    let worker = yard.start_worker("");
    assert_eq!(yard.changeport(&["submit", "two"]).code(), 0);
    wait_until("the first step", || {
        yard.master(&["logs", "two#1"]).err().contains("up").then_some(())
    });
    (yard, master, worker)
}

/// Starts `worker drain`; its line about one build that is left has been said.
fn drain(yard: &Yard, arguments: &[&str]) -> Client {
    let client = Client::start(yard.worker_command().arg("drain").args(arguments));
    wait_until("a worker that drains", || {
        let status = yard.worker(&["status"]).out();
        status.contains("draining: 1 builds left").then_some(())
    });
    client
}

fn wait_for_state(yard: &Yard, state: &str) {
    wait_until(&format!("a worker that is {state}"), || {
        yard.master(&["status"]).out().contains(state).then_some(())
    });
}

#[test]
fn a_drained_worker_finishes_its_build_and_leaves_the_rest_to_the_next() {
    let (yard, _master, mut worker) = half_way();
    let client = drain(&yard, &[]);
    wait_for_state(&yard, "draining");
    assert_eq!(yard.changeport(&["submit", "two"]).code(), 0);
    let why = yard.master(&["why", "two#2"]).out();
    assert!(why.contains("worker w1 is draining (1 builds left)"), "{why}");
    open_gate(&yard);
    let finished = client.finish();
    assert_eq!(finished.code(), 0, "{}", finished.err());
    assert!(finished.out().ends_with("drained; the worker has stopped\n"), "{}", finished.out());
    assert_eq!(worker.ended().0, 0);
    assert_eq!(yard.log_of("two#1"), b"one\ntwo\n");
    assert!(yard.spooled("worker").is_empty(), "everything was handed over");
    let _next = yard.start_configured_worker();
    assert_eq!(yard.results("two", 2), ["SUCCESS", "SUCCESS"]);
}

#[test]
fn a_drain_survives_a_restart_of_the_master() {
    let (yard, master, mut worker) = half_way();
    let client = drain(&yard, &[]);
    wait_for_state(&yard, "draining");
    assert_eq!(yard.changeport(&["submit", "two"]).code(), 0);
    master.kill();
    let mut master = yard.start_master();
    master.wait_for("worker w1 attached");
    wait_for_state(&yard, "draining");
    open_gate(&yard);
    assert_eq!(client.finish().code(), 0);
    assert_eq!(worker.ended().0, 0);
    let why = yard.master(&["why", "two#2"]).out();
    assert!(why.contains("has not started"), "{why}");
}

#[test]
fn ctrl_c_leaves_the_drain_going_and_resume_takes_it_back() {
    let (yard, _master, _worker) = half_way();
    let client = drain(&yard, &[]);
    kill_process(client.pid(), Signal::INT).expect("it waits");
    let finished = client.finish();
    assert_eq!(finished.code(), 130);
    assert!(finished.err().contains("`worker resume` takes it back"), "{}", finished.err());
    wait_for_state(&yard, "draining");
    let other = drain(&yard, &[]);
    assert_eq!(yard.worker(&["resume"]).code(), 0);
    let finished = other.finish();
    assert_eq!(finished.code(), 75, "{}", finished.err());
    assert!(finished.err().contains("taken back"), "{}", finished.err());
    open_gate(&yard);
    assert_eq!(yard.changeport(&["submit", "two"]).code(), 0);
    assert_eq!(yard.results("two", 2), ["SUCCESS", "SUCCESS"]);
}

#[test]
fn at_its_deadline_a_drain_leaves_commands_running_for_the_next_daemon() {
    let (yard, _master, mut worker) = half_way();
    let finished = yard.worker(&["drain", "--deadline", "100ms"]);
    assert_eq!(finished.code(), 75, "{}", finished.out());
    assert!(finished.err().contains("keep running"), "{}", finished.err());
    assert_eq!(worker.exited(), 0);
    assert_eq!(yard.shims().len(), 1);
    let _next = yard.start_configured_worker();
    open_gate(&yard);
    assert_eq!(yard.results("two", 1), ["SUCCESS"]);
}

#[test]
fn at_its_deadline_a_drain_ends_commands_where_that_is_wanted() {
    let (yard, _master, mut worker) = half_way();
    let finished = yard.worker(&["drain", "--deadline", "100ms", "--kill"]);
    assert_eq!(finished.code(), 75, "{}", finished.out());
    assert!(finished.err().contains("were ended"), "{}", finished.err());
    assert_eq!(worker.exited(), 0);
    // A supervisor has told the end before it is gone itself.
    wait_until("the end of every shim", || yard.shims().is_empty().then_some(()));
}

#[test]
fn a_worker_with_nothing_to_do_is_drained_at_once() {
    let yard = Yard::new("");
    yard.configure(&builders(&yard));
    let _master = yard.start_master();
    let mut worker = yard.start_worker("");
    let finished = yard.worker(&["drain"]);
    assert_eq!(finished.code(), 0, "{}", finished.err());
    assert_eq!(worker.exited(), 0);
    assert_eq!(yard.worker(&["drain", "--deadline", "soon"]).code(), 64);
    assert_eq!(yard.worker(&["drain", "--kill"]).code(), 64);
    assert_eq!(yard.worker(&["resume"]).code(), 69);
}
