//! Locks: who has one runs alone, whatever is killed meanwhile, and everybody sees who it is.

use std::fs;

use e2e::{Yard, wait_until};

/// Builders `a` and `b` that take the lock for the whole build, and `c` that takes it in a step.
/// Each waits, with the lock, for a file of its name, and notes when it has it.
fn yard() -> Yard {
    let yard = Yard::new("");
    let (witness, folder) = (yard.path("witness"), yard.path(""));
    let script = |name: &str| {
        let (witness, folder) = (witness.display(), folder.display());
        format!(
            "echo {name} has it >> {witness}; until test -e {folder}/{name}; do sleep 0.02; done; \
             echo {name} gives it >> {witness}"
        )
    };
    let mut text = "lock.l = {}\n".to_owned();
    for name in ["a", "b", "c"] {
        text += &format!("app.{name} = {{ builder = \"{name}\", on_disconnect = \"keep\" }}\n");
    }
    for name in ["a", "b"] {
        text += &format!(
            "builder.{name} = {{ workers = [\"local\"], locks = [{{ name = \"l\" }}], \
             steps = [{{ script = \"{}\" }}] }}\n",
            script(name)
        );
    }
    text += &format!(
        "builder.c = {{ workers = [\"local\"], steps = [{{ command = [\"true\"] }}, \
         {{ name = \"alone\", script = \"{}\", locks = [{{ name = \"l\" }}] }}] }}\n",
        script("c")
    );
    yard.configure(&text);
    yard
}

fn witness(yard: &Yard) -> String {
    fs::read_to_string(yard.path("witness")).unwrap_or_default()
}

fn wait_for_witness(yard: &Yard, line: &str) {
    wait_until(line, || witness(yard).contains(line).then_some(()));
}

fn waiters(yard: &Yard) -> Vec<String> {
    let lock = yard.ask(&["locks"]).remove(0);
    let waiters = lock["waiters"].as_array().expect("a list").clone();
    waiters.iter().map(|one| one["request"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn a_lock_outlives_both_daemons_and_goes_from_one_to_the_next() {
    let yard = yard();
    let master = yard.start_master();
    let worker = yard.start_worker("");
    assert_eq!(yard.changeport(&["submit", "a"]).code(), 0);
    wait_for_witness(&yard, "a has it");
    assert_eq!(yard.changeport(&["submit", "c"]).code(), 0);
    wait_until("c to come to its step", || (waiters(&yard) == ["c#1"]).then_some(()));
    assert_eq!(yard.changeport(&["submit", "b"]).code(), 0);
    let why = yard.master(&["why", "c#1"]).out();
    assert!(why.contains("and step alone waits since"), "{why}");
    assert!(why.contains("lock l is held by a#1"), "{why}");
    let why = yard.master(&["why", "b#1"]).out();
    assert!(why.contains("lock l is held by a#1"), "{why}");
    let table = yard.master(&["locks"]).out();
    assert!(table.contains("a#1 on ") && table.contains("c#1/alone on "), "{table}");

    wait_until("the reason to be noted", || {
        yard.master(&["why", "b#1"]).out().contains("for lock l").then_some(())
    });
    master.kill();
    worker.kill();
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_eq!(waiters(&yard), ["c#1", "b#1"]);
    fs::write(yard.path("a"), "").expect("the yard is ours");
    wait_for_witness(&yard, "c has it");
    fs::write(yard.path("c"), "").expect("the yard is ours");
    wait_for_witness(&yard, "b has it");
    fs::write(yard.path("b"), "").expect("the yard is ours");
    assert_eq!(yard.results("b", 1), ["SUCCESS"]);
    let order = ["a has it", "a gives it", "c has it", "c gives it", "b has it", "b gives it", ""];
    assert_eq!(witness(&yard), order.join("\n"));
    let why = yard.master(&["why", "b#1"]).out();
    assert!(why.contains("waited") && why.contains("for lock l"), "what it was is kept: {why}");
    let why = yard.master(&["why", "c#1"]).out();
    assert!(why.contains(" for its locks"), "{why}");
    let builds = yard.ask(&["builds", "c"]);
    assert!(builds[0]["steps"][1]["locks_us"].as_i64() > Some(0), "{builds:?}");
    let lock = yard.ask(&["locks"]).remove(0);
    assert_eq!(lock["holders"].as_array().map(Vec::len), Some(0), "{lock}");
}

#[test]
fn one_that_is_cancelled_wakes_the_next_once_its_processes_are_gone() {
    let yard = yard();
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_eq!(yard.changeport(&["submit", "a"]).code(), 0);
    wait_for_witness(&yard, "a has it");
    assert_eq!(yard.changeport(&["submit", "b"]).code(), 0);
    wait_until("b to wait", || (waiters(&yard) == ["b#1"]).then_some(()));
    assert_eq!(yard.changeport(&["submit", "c"]).code(), 0);
    assert_eq!(yard.master(&["stop", "b#1"]).code(), 0);
    assert_eq!(yard.master(&["stop", "a#1"]).code(), 0);
    wait_for_witness(&yard, "c has it");
    fs::write(yard.path("c"), "").expect("the yard is ours");
    assert_eq!(yard.results("c", 1), ["SUCCESS"]);
    assert_eq!(witness(&yard), "a has it\nc has it\nc gives it\n");
}
