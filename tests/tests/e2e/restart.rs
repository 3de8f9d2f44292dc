//! kill -9 of each daemon while a command runs: nothing is lost, nothing runs twice, every byte
//! of output comes out once.

use std::fs;

use e2e::{Yard, wait_until};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sha2::{Digest as _, Sha256};

/// A command that writes numbered lines to both channels and goes on when it is told to.
pub(super) fn counting(yard: &Yard) -> String {
    let witness = yard.witnesses().script();
    let gate = yard.path("gate").display().to_string();
    let body = format!(
        "{witness}\
         for i in $(seq 1 2000); do echo out $i; done\n\
         echo half-way >&2\n\
         until test -e {gate}; do sleep 0.02; done\n\
         for i in $(seq 2001 4000); do echo out $i; done\n\
         echo done >&2\n\
         exit 3\n"
    );
    format!(
        "app.count = {{ builder = \"count\" }}\n[builder.count]\nworkers = [\"local\"]\n\
         steps = [{{ name = \"count\", script = '''\n{body}''' }}]\n"
    )
}

pub(super) fn expected_output() -> Vec<u8> {
    (1..=4000).flat_map(|i| format!("out {i}\n").into_bytes()).collect()
}

/// A yard whose `count` has reached its middle, followed by a client.
fn half_way() -> Yard {
    let yard = Yard::new("");
    yard.configure(&counting(&yard));
    yard
}

pub(super) fn wait_for_half_way(yard: &Yard) {
    let what = "the middle of the command's output";
    wait_until(what, || {
        let logs = yard.master(&["logs", "count#1"]);
        logs.err().contains("half-way").then_some(())
    });
}

pub(super) fn open_gate(yard: &Yard) {
    fs::write(yard.path("gate"), "").expect("the yard is ours");
}

#[test]
fn a_client_does_not_notice_that_its_master_was_killed() {
    let yard = half_way();
    let master = yard.start_master();
    let _worker = yard.start_worker("");
    let client = yard.start_changeport(&["run", "count"]);
    wait_for_half_way(&yard);
    master.kill();
    let mut master = yard.start_master();
    master.wait_for("worker w1 attached");
    open_gate(&yard);
    let finished = client.finish();
    assert_eq!(finished.code(), 3, "{}", finished.err());
    assert_eq!(Sha256::digest(&finished.stdout), Sha256::digest(expected_output()));
    assert_eq!(finished.err(), "half-way\ndone\n");
    assert_eq!(yard.witnesses().ran().len(), 1);
    let builds = yard.master(&["builds"]).out();
    assert!(builds.contains("count#1") && builds.contains("FAILURE"), "{builds}");
}

#[test]
fn a_command_goes_on_while_its_worker_daemon_is_dead() {
    let yard = half_way();
    let _master = yard.start_master();
    let worker = yard.start_worker("");
    let client = yard.start_changeport(&["run", "count"]);
    wait_for_half_way(&yard);
    worker.kill();
    open_gate(&yard);
    let _worker = yard.start_worker("");
    let finished = client.finish();
    assert_eq!(finished.code(), 3, "{}", finished.err());
    assert_eq!(Sha256::digest(&finished.stdout), Sha256::digest(expected_output()));
    assert_eq!(yard.witnesses().ran().len(), 1);
    assert_spool_is_empty(&yard);
}

#[test]
fn a_command_that_ends_while_both_daemons_are_dead_keeps_its_result() {
    let yard = half_way();
    let master = yard.start_master();
    let worker = yard.start_worker("");
    let submitted = yard.changeport(&["submit", "count"]);
    assert_eq!(submitted.out(), "count#1\n", "{}", submitted.err());
    wait_for_half_way(&yard);
    let command = yard.witnesses().ran()[0].clone();
    worker.kill();
    master.kill();
    open_gate(&yard);
    let exit = yard.path("worker/spool").join(command).join("exit");
    wait_until("the command's end in the spool", || exit.exists().then_some(()));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let waited = yard.changeport(&["wait", "count#1"]);
    assert_eq!(waited.code(), 3, "{}", waited.err());
    let logs = yard.changeport(&["logs", "count#1"]);
    assert_eq!(logs.stdout, expected_output());
    assert_eq!(yard.witnesses().ran().len(), 1);
    assert_spool_is_empty(&yard);
}

#[test]
fn a_killed_shim_loses_exactly_its_command_and_takes_its_tree_along() {
    let yard = Yard::new(
        r#"
app.tree = { builder = "tree" }
[builder.tree]
workers = ["local"]
steps = [{ name = "tree", script = "setsid sleep 1000 & sleep 1000 & echo $$ $!; echo up >&2; wait" }]
"#,
    );
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let lost = yard.start_changeport(&["run", "tree"]);
    wait_until("the first request", || {
        (yard.master(&["queue", "--json"]).out().contains("tree#1")
            || yard.master(&["builds", "--json"]).out().contains("tree#1"))
        .then_some(())
    });
    let survives = yard.changeport(&["submit", "tree"]);
    assert_eq!(survives.code(), 0, "{}", survives.err());
    let shims = wait_until("both commands", || {
        let up = ["tree#1", "tree#2"]
            .iter()
            .all(|build| yard.master(&["logs", build]).err().contains("up"));
        let shims = yard.shims();
        (up && shims.len() == 2).then_some(shims)
    });
    let tree_of = |build: &str| -> Vec<Pid> {
        let logs = yard.master(&["logs", build]).out();
        let numbers = logs.split_whitespace().filter_map(|word| word.parse::<i32>().ok());
        numbers.filter_map(Pid::from_raw).collect()
    };
    let (shim, command) = shims.into_iter().min_by(|a, b| a.1.cmp(&b.1)).expect("there are two");
    kill_process(shim, Signal::KILL).expect("the yard is ours");
    let finished = lost.finish();
    assert_eq!(finished.code(), 74, "{}", finished.err());
    assert!(finished.err().contains("supervisor"), "{}", finished.err());
    for pid in tree_of("tree#1") {
        wait_until("the end of the tree", || test_kill_process(pid).is_err().then_some(()));
    }
    assert!(!processes_of(&command), "something of {command} is left");
    for pid in tree_of("tree#2") {
        test_kill_process(pid).expect("the other command goes on");
    }
    let stopped = yard.changeport(&["stop", "tree#2"]);
    assert_eq!(stopped.code(), 0, "{}", stopped.err());
    assert_eq!(yard.changeport(&["wait", "tree#2"]).code(), 143);
}

#[test]
fn what_was_accepted_waits_for_a_worker_over_restarts() {
    let yard = Yard::new(
        "app.one = { builder = \"one\" }\n[builder.one]\nworkers = [\"local\"]\n\
         steps = [{ name = \"one\", command = [\"echo\", \"${args}\"] }]\n",
    );
    let master = yard.start_master();
    for i in 1..=20 {
        let submitted = yard.changeport(&["submit", "one", &i.to_string()]);
        assert_eq!(submitted.out(), format!("one#{i}\n"), "{}", submitted.err());
    }
    master.kill();
    let master = yard.start_master();
    let (code, log) = master.stop();
    assert_eq!(code, 0, "{log}");
    let _master = yard.start_master();
    assert_eq!(yard.master(&["queue", "--json"]).out().lines().count(), 20);
    let _worker = yard.start_worker("");
    for i in 1..=20 {
        let name = format!("one#{i}");
        assert_eq!(yard.changeport(&["wait", &name]).code(), 0);
        assert_eq!(yard.changeport(&["logs", &name]).out(), format!("{i}\n"));
    }
}

/// The worker forgets a command once the master has sealed its log.
fn assert_spool_is_empty(yard: &Yard) {
    wait_until("an empty spool", || yard.spooled("worker").is_empty().then_some(()));
}

/// Says whether a process still carries the command's id in its environment.
fn processes_of(command: &str) -> bool {
    let needle = format!("YARDMASTER_COMMAND={command}");
    let mut processes = fs::read_dir("/proc").expect("list processes").flatten();
    processes.any(|process| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == needle.as_bytes())
    })
}
