//! Which worker gets a build: what it has to be, what it has to have, and which one is liked best.

use attempt::StopOrder;
use config::Value;
use engine::{Abandoned, Blocker, LaunchWait, Standing};

use crate::yard::{Yard, named};

/// Workers `w1` to `w3`, of which `w2` and `w3` have a screen, and builder `ci` with these keys.
fn yard(keys: &str) -> Yard {
    Yard::new(&format!(
        r#"
worker.plain = {{ names = ["w1"], resources = {{ gpus = 0 }} }}
worker.shown = {{ names = ["w2", "w3"], labels = ["x11"], resources = {{ cpus = 4, memory = "8GiB", gpus = 2 }} }}
app.ci = {{ builder = "ci", on_disconnect = "keep" }}
app.other = {{ builder = "other", on_disconnect = "keep" }}
builder.ci = {{ workers = ["plain", "shown"], steps = [{{ command = ["ci"] }}], {keys} }}
builder.other = {{ workers = ["shown"], resources = {{ gpus = 1 }}, steps = [{{ command = ["other"] }}] }}
"#
    ))
}

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

fn call(yard: &mut Yard, app: &str) {
    yard.call(app, LaunchWait::Detach);
}

/// Names the workers of the builds that run, in the order of their start.
fn workers(yard: &Yard) -> Vec<String> {
    yard.engine.durable().builds().map(|build| build.worker.to_string()).collect()
}

/// Says what keeps a request waiting, worker by worker.
fn blockers(yard: &Yard, name: &str) -> Vec<String> {
    let Some(Standing::Waiting { blockers, .. }) = yard.standing(name) else {
        panic!("{name} waits: {:?}", yard.standing(name))
    };
    let told = |blocker: &Blocker| match blocker {
        Blocker::Unfit { worker, unmet } => format!("{worker}: {unmet}"),
        Blocker::Lacks { worker, lack } => format!("{worker}: {lack}"),
        Blocker::KeptFor { worker, request } => format!("{worker}: kept for {request}"),
        Blocker::BuilderUnknown { .. }
        | Blocker::NoWorkerAttached { .. }
        | Blocker::WorkerDraining { .. }
        | Blocker::WorkerFull { .. }
        | Blocker::WorkerEnding { .. }
        | Blocker::LockHeld { .. }
        | Blocker::LockKept { .. }
        | Blocker::Behind { .. } => format!("{blocker:?}"),
    };
    blockers.iter().map(told).collect()
}

#[test]
fn a_build_runs_only_where_its_requirement_is_met_and_is_told_what_fails_elsewhere() {
    let mut yard =
        yard(r#"require = '"x11" in worker.labels && worker.probe.python >= version("3.10")'"#);
    for worker in ["w1", "w2", "w3"] {
        yard.attach(worker, 1);
    }
    yard.probes("w1", &[("python", text("3.12.1"))]);
    yard.probes("w2", &[("python", text("3.9.2"))]);
    call(&mut yard, "ci");
    assert_eq!(
        blockers(&yard, "ci#1"),
        [
            "w1: \"x11\" in worker.labels does not hold: worker.labels is []",
            "w2: worker.probe.python >= version(\"3.10\") does not hold: worker.probe.python is 3.9.2",
            "w3: worker.probe.python >= version(\"3.10\") does not hold: there is no `python` here",
        ]
    );
    yard.probes("w3", &[("python", text("3.10"))]);
    assert_eq!(workers(&yard), ["w3"], "at once when a probe finds it");
}

#[test]
fn what_a_worker_is_counts_anew_with_every_connection_and_goes_with_a_probe_that_fails() {
    let mut yard = yard("require = 'worker.probe.numpy > version(\"1.20\")'");
    yard.attach("w1", 1);
    yard.probes("w1", &[("numpy", text("1.26.4"))]);
    yard.probes("w1", &[]);
    call(&mut yard, "ci");
    assert!(yard.is_waiting("ci#1"));
    yard.probes("w1", &[("numpy", text("1.26.4"))]);
    assert_eq!(workers(&yard), ["w1"]);
    yard.exits("ci#1", 0);
    yard.detach("w1");
    yard.machine("w1").facts.probes.clear();
    yard.attach("w1", 1);
    call(&mut yard, "ci");
    assert!(yard.is_waiting("ci#2"), "nothing is known of it any more");
}

#[test]
fn facts_of_the_machine_are_seen() {
    let mut yard =
        yard("require = 'worker.os == \"linux\" && worker.cpus >= 8 && worker.memory > 1000'");
    let facts = &mut yard.machine("w1").facts;
    (facts.os, facts.cpus, facts.memory_bytes) = ("linux".to_owned(), 8, 2_000);
    yard.attach("w2", 1);
    yard.attach("w1", 1);
    call(&mut yard, "ci");
    assert_eq!(workers(&yard), ["w1"]);
}

#[test]
fn builds_take_of_their_worker_what_they_need_and_never_more_than_it_has() {
    let mut yard = yard("resources = { cpus = 2, memory = \"2GiB\", gpus = 1 }");
    yard.machine("w1").facts.cpus = 64;
    yard.attach("w1", 8);
    yard.attach("w2", 8);
    for _ in 0..3 {
        call(&mut yard, "ci");
    }
    assert_eq!(workers(&yard), ["w2", "w2"]);
    let told = blockers(&yard, "ci#3");
    assert_eq!(told[0], "w1: 0 of 0 gpus are free, and 1 are wanted");
    assert_eq!(told[1], "w2: 0 of 4 cpus are free, and 2 are wanted");
    yard.restart();
    yard.attach("w2", 8);
    assert!(yard.is_waiting("ci#3"), "what is taken is known after a restart");
    yard.exits("ci#1", 0);
    assert_eq!(workers(&yard), ["w2", "w2"]);
}

#[test]
fn what_needs_much_is_not_passed_by_what_needs_little_for_ever() {
    let mut yard = yard("resources = { gpus = 2 }");
    yard.attach("w2", 8);
    call(&mut yard, "other");
    call(&mut yard, "ci");
    call(&mut yard, "other");
    assert_eq!(workers(&yard), ["w2"]);
    assert_eq!(blockers(&yard, "ci#1"), ["w2: 1 of 2 gpus are free, and 2 are wanted"]);
    assert_eq!(blockers(&yard, "other#2"), ["w2: kept for ci#1"]);
    yard.exits("other#1", 0);
    assert!(yard.is_waiting("other#2") && yard.standing("ci#1").is_some());
    yard.exits("ci#1", 0);
    assert_eq!(workers(&yard), ["w2"]);
    assert!(yard.standing("other#2").is_some());
}

#[test]
fn beside_what_was_given_up_nothing_is_given_away() {
    let mut yard = yard("resources = { gpus = 1 }");
    yard.attach("w2", 8);
    call(&mut yard, "ci");
    yard.detach("w2");
    let given_up = yard.give_up(Abandoned::Request(yard.id("ci#1")));
    assert_eq!(given_up, ["ci#1 on w2"]);
    yard.attach("w2", 8);
    call(&mut yard, "ci");
    assert!(yard.is_waiting("ci#2"), "it may run there still, and takes its part");
    yard.one_ends("w2", 0, 0);
    assert_eq!(workers(&yard), ["w2"]);
}

#[test]
fn builders_like_workers_in_different_ways() {
    // Each on a place of its own kind: three builds, and where they go.
    for (placement, expected) in [
        ("least_loaded", ["w1", "w1", "w3"]),
        ("most_loaded", ["w2", "w3", "w3"]),
        ("spread", ["w1", "w3", "w2"]),
    ] {
        let mut yard = yard(&format!("placement = \"{placement}\""));
        for (worker, places) in [("w1", 4), ("w2", 1), ("w3", 3)] {
            yard.attach(worker, places);
        }
        for _ in 0..3 {
            call(&mut yard, "ci");
        }
        assert_eq!(workers(&yard), expected, "{placement}");
    }
}

#[test]
fn sticky_builds_go_to_one_worker_as_long_as_it_has_a_place() {
    let mut yard = yard("placement = \"sticky_builder\"");
    for worker in ["w1", "w2", "w3"] {
        yard.attach(worker, 2);
    }
    call(&mut yard, "ci");
    let first = workers(&yard).remove(0);
    for name in ["ci#1", "ci#2", "ci#3"] {
        yard.exits(name, 0);
        call(&mut yard, "ci");
        assert_eq!(workers(&yard), [first.as_str()]);
    }
    yard.restart();
    for worker in ["w3", "w2", "w1"] {
        yard.attach(worker, 2);
    }
    call(&mut yard, "ci");
    call(&mut yard, "ci");
    assert_eq!(workers(&yard)[..2], [first.as_str(), first.as_str()]);
    assert_ne!(workers(&yard)[2], first, "it is full");
}

#[test]
fn the_oldest_request_gets_the_place_that_becomes_free_and_another_worker_where_one_does_not_fit() {
    let mut yard = yard("require = '\"x11\" in worker.labels'");
    yard.attach("w1", 1);
    yard.attach("w2", 1);
    for app in ["ci", "other", "ci"] {
        call(&mut yard, app);
    }
    assert_eq!(workers(&yard), ["w2"], "not on the one without a screen");
    yard.stop("ci#1", "not needed", StopOrder::ASK);
    yard.exits("ci#1", 0);
    assert!(!yard.is_waiting("other#1") && yard.is_waiting("ci#2"));
    yard.attach("w3", 1);
    assert!(!yard.is_waiting("ci#2"));
    assert_eq!(yard.build("ci#2").worker, named("w3"));
}
