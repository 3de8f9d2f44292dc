//! Requests in line: priorities, merged ones, and those that a scheduler cancels by itself.

use std::fs;

use e2e::{Daemon, Yard, wait_until};

/// A worker with one place, taken by `gate#1` until the file `gate` is there, and `ci`, which wants
/// the place, too.
fn full(ci: &str, push: &str) -> (Yard, Daemon, Daemon) {
    let yard = Yard::new("");
    let gate = yard.path("gate").display().to_string();
    yard.configure(&format!(
        r#"
app.gate = {{ builder = "gate" }}
app.ci = {{ builder = "ci", on_disconnect = "keep" }}
scheduler.push = {{ type = "any_branch", change_source = "launch", filter = {{ category = {{ not = "launch" }} }}, builders = ["ci"], {push} }}
[builder.gate]
workers = ["local"]
steps = [{{ name = "gate", script = "until test -e {gate}; do sleep 0.02; done" }}]
[builder.ci]
workers = ["local"]
{ci}
steps = [{{ name = "make", command = ["echo", "${{revision.id}}"] }}]
"#
    ));
    let master = yard.start_master();
    yard.configure_worker("max_builds = 1\n");
    let worker = yard.start_configured_worker();
    assert_eq!(yard.changeport(&["submit", "gate"]).code(), 0);
    wait_until("the place to be taken", || {
        let builds = yard.ask(&["builds"]);
        builds.iter().any(|build| build["build"] == "gate#1").then_some(())
    });
    (yard, master, worker)
}

fn send(yard: &Yard, branch: &str, revision: &str) {
    let sent = yard.changeport(&["send", "--branch", branch, "--revision", revision]);
    assert_eq!(sent.code(), 0, "{}", sent.err());
}

fn open(yard: &Yard) {
    fs::write(yard.path("gate"), "").expect("the yard is ours");
}

/// Names what waits, with place, priority and what keeps it.
fn queue(yard: &Yard) -> Vec<(String, u64, i64, String)> {
    let line = |line: serde_json::Value| {
        let text = |key: &str| line[key].as_str().expect("a text").to_owned();
        let place = line["place"].as_u64().expect("a place");
        (text("request"), place, line["priority"].as_i64().expect("a number"), text("blocked_by"))
    };
    yard.ask(&["queue"]).into_iter().map(line).collect()
}

#[test]
fn a_request_is_moved_in_its_line_and_a_restart_keeps_that() {
    let (yard, master, _worker) = full("", "priority = 2");
    for _ in 0..3 {
        assert_eq!(yard.changeport(&["submit", "ci"]).code(), 0);
    }
    let moved = yard.master(&["set-priority", "ci#3", "5"]);
    assert_eq!(moved.out(), "ci#3 waits with priority 5\n", "{}", moved.err());
    assert_eq!(yard.master(&["set-priority", "ci#1", "-1"]).code(), 0);
    let runs = yard.master(&["set-priority", "gate#1", "5"]);
    assert_ne!(runs.code(), 0);
    assert!(runs.err().contains("gate#1 runs already"), "{}", runs.err());
    let far = yard.master(&["set-priority", "ci#1", "1001"]);
    assert_eq!(far.code(), 64);
    assert!(far.err().contains("from -1000 to 1000"), "{}", far.err());
    assert_eq!(yard.master(&["set-priority", "ci#9", "1"]).code(), 64);
    master.kill();
    let _master = yard.start_master();
    let lines = queue(&yard);
    let places: Vec<_> =
        lines.iter().map(|(name, place, priority, _)| (name.as_str(), *place, *priority)).collect();
    assert_eq!(places, [("ci#1", 3, -1), ("ci#2", 2, 0), ("ci#3", 1, 5)]);
    open(&yard);
    yard.results("ci", 3);
    let order: Vec<_> = yard
        .ask(&["builds", "ci"])
        .iter()
        .rev()
        .map(|build| build["build"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(order, ["ci#3", "ci#2", "ci#1"]);
}

#[test]
fn who_waits_for_a_merged_request_gets_the_result_of_what_was_built() {
    let (yard, master, _worker) = full("collapse_requests = true", "");
    send(&yard, "main", "a");
    send(&yard, "next", "b");
    send(&yard, "main", "c");
    let waiting = yard.changeport_command().args(["wait", "ci#3"]).spawn().expect("start wait");
    let lines = queue(&yard);
    let (name, place, _, why) = &lines[2];
    assert_eq!((name.as_str(), *place, why.as_str()), ("ci#3", 0, "merged into ci#1"));
    let why = yard.master(&["why", "ci#3"]).out();
    assert!(why.contains("was merged into ci#1"), "{why}");
    let status = yard.changeport(&["status", "ci#3"]).out();
    assert!(status.contains("merged into ci#1"), "{status}");
    master.kill();
    let _master = yard.start_master();
    open(&yard);
    assert_eq!(yard.results("ci", 2), ["SUCCESS", "SUCCESS"]);
    let waited = waiting.wait_with_output().expect("it ends");
    assert_eq!(waited.status.code(), Some(0));
    assert_eq!(yard.log_of("ci#1"), b"c\n", "the newest is built");
    let status = yard.changeport(&["status", "ci#3"]).out();
    assert!(status.contains("SUCCESS") && status.contains("merged into ci#1"), "{status}");
    let why = yard.master(&["why", "ci#3"]).out();
    assert!(why.contains("ended: SUCCESS, merged into ci#1"), "{why}");
}

#[test]
fn a_newer_change_of_a_branch_supersedes_an_older_one() {
    let (yard, _master, _worker) = full("", "cancel_old_builds = true");
    send(&yard, "main", "a");
    send(&yard, "next", "b");
    send(&yard, "main", "c");
    let waited = yard.changeport(&["wait", "ci#1"]);
    assert_eq!(waited.code(), 130, "{}", waited.err());
    let why = yard.master(&["why", "ci#1"]).out();
    assert!(why.contains("ended: CANCELLED, superseded by ci#3"), "{why}");
    open(&yard);
    assert_eq!(yard.results("ci", 2), ["SUCCESS", "SUCCESS"]);
}
