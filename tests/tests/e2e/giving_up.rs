//! A build whose worker may never come back is ended without it, and nothing goes wrong where the
//! worker comes back after all.

use e2e::{Yard, wait_until};

/// A yard whose app `waits` says `up`, and `late` once there is a gate, and never ends.
fn yard() -> Yard {
    let yard = Yard::new("");
    let gate = yard.path("gate").display().to_string();
    yard.configure(&format!(
        "app.waits = {{ builder = \"waits\", on_disconnect = \"keep\" }}\n[builder.waits]\n\
         workers = [\"local\"]\nsteps = [\n\
         {{ name = \"waits\", script = '''\necho up >&2\nuntil test -e {gate}; do sleep 0.02; done\n\
         echo late >&2\nsleep 1000\n''' }},\n\
         {{ name = \"clean\", command = [\"true\"], always_run = true }},\n]\n"
    ));
    yard
}

fn wait_for_log(yard: &Yard, build: &str, word: &str) {
    wait_until(&format!("`{word}` in the log of {build}"), || {
        yard.master(&["logs", build]).err().contains(word).then_some(())
    });
}

fn assert_spool_is_empty(yard: &Yard) {
    wait_until("an empty spool", || yard.spooled("worker").is_empty().then_some(()));
}

#[test]
fn a_build_of_a_worker_that_is_away_ends_and_its_command_with_the_return() {
    let yard = yard();
    let master = yard.start_master();
    let worker = yard.start_worker("");
    let client = yard.start_changeport(&["run", "waits"]);
    wait_for_log(&yard, "waits#1", "up");
    worker.kill();
    let told = wait_until("a stop that waits for the worker", || {
        let stopped = yard.master(&["stop", "waits#1"]).out();
        stopped.contains("is going to end").then_some(stopped)
    });
    assert!(told.contains("w1 is not connected since 20"), "{told}");
    assert!(told.contains("it is told when it returns"), "{told}");
    let why = yard.master(&["why", "waits#1"]).out();
    assert!(why.contains("not connected since 20"), "{why}");
    assert!(why.contains("it will be told to end the build when it returns"), "{why}");

    let given_up = yard.master(&["stop", "waits#1", "--give-up", "--reason", "burnt"]);
    assert!(given_up.out().contains("waits#1 has ended; it may still run on w1"), "{given_up:?}");
    let finished = client.finish();
    assert_eq!(finished.code(), 74, "{}", finished.err());
    assert!(finished.err().contains("worker w1 was given up by"), "{}", finished.err());
    assert!(finished.err().contains("burnt"), "{}", finished.err());
    assert_eq!(yard.results("waits", 1), ["EXCEPTION"]);
    let status = yard.master(&["status"]).out();
    assert!(status.contains("1 given up, may still run"), "{status}");
    let again = yard.master(&["stop", "waits#1", "--give-up"]).out();
    assert_eq!(again, "waits#1 had ended before\n");

    yard.write("gate", "");
    let shims = yard.shims();
    assert_eq!(shims.len(), 1, "the command goes on where it is");
    master.kill();
    let _master = yard.start_master();
    let why = yard.master(&["why", "waits#1"]).out();
    assert!(why.contains("lost(given_up)"), "{why}");
    let _worker = yard.start_worker("");
    wait_until("the end of what was given up", || yard.shims().is_empty().then_some(()));
    assert_spool_is_empty(&yard);
    wait_for_log(&yard, "waits#1", "late");
    assert_eq!(yard.results("waits", 1), ["EXCEPTION"]);
}

#[test]
fn a_place_is_free_only_after_what_was_given_up_is_gone() {
    let yard = yard();
    let _master = yard.start_master();
    yard.configure_worker("max_builds = 1\n");
    let worker = yard.start_configured_worker();
    assert_eq!(yard.changeport(&["submit", "waits"]).code(), 0);
    wait_for_log(&yard, "waits#1", "up");
    worker.kill();
    let (_, first) = yard.shims().pop().expect("its command goes on");
    assert_eq!(yard.changeport(&["submit", "waits"]).code(), 0);
    assert_eq!(yard.master(&["stop", "waits#1", "--give-up"]).code(), 0);
    let _worker = yard.start_configured_worker();
    let second = wait_until("the command of the second build", || {
        let shims = yard.shims();
        assert!(shims.len() <= 1, "both have the only place");
        shims.into_iter().map(|(_, command)| command).find(|command| *command != first)
    });
    assert_ne!(first, second);
    wait_for_log(&yard, "waits#2", "up");
    let stop = yard.master(&["stop", "--worker", "w1", "--give-up", "--json"]).out();
    assert!(stop.contains("waits#2") && stop.contains("\"remains_on\":\"w1\""), "{stop}");
    wait_until("the end of the second", || yard.shims().is_empty().then_some(()));
    assert_eq!(yard.results("waits", 2), ["EXCEPTION", "EXCEPTION"]);
    assert_spool_is_empty(&yard);
    let nothing = yard.master(&["stop", "--worker", "w1", "--give-up"]).out();
    assert_eq!(nothing, "nothing runs on w1\n");
}

#[test]
fn what_cannot_be_given_up_is_said() {
    let yard = yard();
    let _master = yard.start_master();
    for (arguments, word) in [
        (&["--worker", "w9", "--give-up"][..], "there is no worker w9"),
        (&["--worker", "w1"], "--give-up"),
        (&["waits#9", "--give-up"], "there is no request waits#9"),
        (&["--give-up"], "<ID>"),
    ] {
        let refused = yard.master(&[&["stop"], arguments].concat());
        assert_eq!(refused.code(), 64, "{arguments:?}");
        assert!(refused.err().contains(word), "{arguments:?}: {}", refused.err());
    }
}
