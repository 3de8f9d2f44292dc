//! Locks of builders and steps: who gets them, who waits, and when they are free again.

use attempt::StopOrder;
use engine::lock::{Holder, LockWaiter};
use engine::{Abandoned, Blocker, BuildResult, LaunchWait, Standing};

use crate::yard::{SECOND, Yard};

/// Two workers with apps that take locks in every way. `l` is the lock that most of them want.
fn yard(lock: &str) -> Yard {
    Yard::new(&configuration(lock))
}

fn configuration(lock: &str) -> String {
    let mut text = format!(
        r#"
worker.all = {{ names = ["w1", "w2"] }}
worker.second = {{ names = ["w2"] }}
lock.l = {{ {lock} }}
lock.other = {{ max = 4 }}
builder.whole = {{ workers = ["all"], locks = [{{ name = "l", access = "exclusive" }}], steps = [{{ command = ["whole"] }}] }}
builder.rival = {{ workers = ["all"], locks = [{{ name = "l" }}], steps = [{{ command = ["rival"] }}] }}
builder.bound = {{ workers = ["second"], locks = [{{ name = "l" }}], steps = [{{ command = ["bound"] }}] }}
builder.two = {{ workers = ["all"], locks = [{{ name = "l", access = "counting", count = 2 }}], steps = [{{ command = ["two"] }}] }}
builder.one = {{ workers = ["all"], locks = [{{ name = "l", access = "counting" }}], steps = [{{ command = ["one"] }}] }}
builder.none = {{ workers = ["all"], locks = [{{ name = "l", access = "counting", count = 0 }}], steps = [{{ command = ["none"] }}] }}
builder.free = {{ workers = ["second"], steps = [{{ command = ["free"] }}] }}
"#
    );
    for app in ["whole", "rival", "bound", "two", "one", "none", "free", "inner"] {
        text += &format!("app.{app} = {{ builder = \"{app}\", on_disconnect = \"keep\" }}\n");
    }
    text += r#"
[builder.inner]
workers = ["all"]
locks = [{ name = "other", access = "counting" }]
steps = [
  { name = "before", command = ["before"] },
  { name = "middle", command = ["middle"], locks = [{ name = "l", access = "exclusive" }] },
  { name = "after", command = ["after"], always_run = true },
]
"#;
    text
}

fn call(yard: &mut Yard, apps: &[&str]) {
    for app in apps {
        yard.call(app, LaunchWait::Detach);
    }
}

/// Names what runs, in the order of its start.
fn running(yard: &Yard) -> Vec<String> {
    yard.engine.durable().builds().map(|build| build.name.to_string()).collect()
}

/// Says who holds the lock `l`.
fn holders(yard: &Yard) -> Vec<String> {
    let told = |holder: &Holder| {
        let request = holder.request.as_ref().map_or("?".to_owned(), ToString::to_string);
        match &holder.step {
            Some(step) => format!("{request}/{step}"),
            None => request,
        }
    };
    yard.engine.locks()[0].holders.iter().map(told).collect()
}

/// Says who waits for the lock `l`.
fn waiters(yard: &Yard) -> Vec<String> {
    let told = |waiter: &LockWaiter| match waiter {
        LockWaiter::Step { request, step, .. } => format!("{request}/{step}"),
        LockWaiter::Line { request, behind, .. } => format!("{request}+{behind}"),
    };
    yard.engine.locks()[0].waiters.iter().map(told).collect()
}

fn blockers(yard: &Yard, name: &str) -> Vec<String> {
    let blockers = match yard.standing(name) {
        Some(Standing::Waiting { blockers, .. }) => blockers,
        Some(Standing::Running { wait: Some(wait), .. }) => wait.blockers,
        other => panic!("{name} waits: {other:?}"),
    };
    let at = |worker: &Option<config::Name>| {
        worker.as_ref().map(|worker| format!(" on {worker}")).unwrap_or_default()
    };
    let told = |blocker: &Blocker| match blocker {
        Blocker::LockHeld { lock, worker, by } => {
            let by: Vec<String> = by.iter().map(ToString::to_string).collect();
            format!("{lock}{} held by {}", at(worker), by.join(" "))
        }
        Blocker::LockKept { lock, worker, request } => {
            format!("{lock}{} kept for {request}", at(worker))
        }
        Blocker::WorkerFull { worker, .. } => format!("{worker} is full"),
        Blocker::BuilderUnknown { .. }
        | Blocker::NoWorkerAttached { .. }
        | Blocker::WorkerDraining { .. }
        | Blocker::WorkerEnding { .. }
        | Blocker::Unfit { .. }
        | Blocker::Lacks { .. }
        | Blocker::KeptFor { .. }
        | Blocker::Behind { .. } => format!("{blocker:?}"),
    };
    blockers.iter().map(told).collect()
}

#[test]
fn requests_of_an_exclusive_lock_never_overlap_and_its_release_wakes_another_builder() {
    let mut yard = yard("max = 1");
    yard.attach("w1", 4);
    call(&mut yard, &["whole", "whole", "rival", "free"]);
    assert_eq!(running(&yard), ["whole#1"]);
    assert_eq!(holders(&yard), ["whole#1"]);
    assert_eq!(waiters(&yard), ["rival#1+0", "whole#2+0"]);
    assert_eq!(blockers(&yard, "whole#2"), ["l held by whole#1"]);
    yard.exits("whole#1", 0);
    assert_eq!(running(&yard), ["whole#2"]);
    yard.exits("whole#2", 1);
    assert_eq!(running(&yard), ["rival#1"], "the end of one builder's wakes another's");
    yard.exits("rival#1", 0);
    assert_eq!(holders(&yard), [""; 0]);
}

#[test]
fn a_step_waits_for_its_lock_within_the_build_and_how_long_is_recorded() {
    let mut yard = yard("max = 1");
    yard.attach("w1", 4);
    call(&mut yard, &["inner", "inner"]);
    yard.exits("inner#1", 0);
    yard.exits("inner#2", 0);
    assert_eq!(yard.steps("inner#1"), "before SUCCESS, middle running, after waiting");
    assert_eq!(yard.steps("inner#2"), "before SUCCESS, middle blocked, after waiting");
    assert_eq!(holders(&yard), ["inner#1/middle"]);
    assert_eq!(waiters(&yard), ["inner#2/middle"]);
    assert_eq!(blockers(&yard, "inner#2"), ["l held by inner#1"]);
    yard.wait(7 * SECOND);
    yard.exits("inner#1", 0);
    assert_eq!(yard.steps("inner#1"), "before SUCCESS, middle SUCCESS, after running");
    assert_eq!(yard.steps("inner#2"), "before SUCCESS, middle running, after waiting");
    assert_eq!(yard.build("inner#2").steps[1].locks_us, 7 * SECOND);
    assert_eq!(yard.build("inner#1").steps[1].locks_us, 0);
}

#[test]
fn units_are_counted_up_to_the_maximum_and_none_at_all_always_pass() {
    let mut yard = yard("max = 4");
    yard.attach("w1", 9);
    call(&mut yard, &["two", "one", "two", "none"]);
    assert_eq!(running(&yard), ["two#1", "one#1", "none#1"], "2 + 1 + 2 are more than 4");
    yard.exits("one#1", 0);
    assert_eq!(running(&yard), ["two#1", "none#1", "two#2"]);
    call(&mut yard, &["whole", "none"]);
    assert!(yard.is_waiting("whole#1"));
    assert!(!yard.is_waiting("none#2"));
}

#[test]
fn one_that_waits_for_the_whole_lock_is_not_passed_by_those_that_count() {
    let mut yard = yard("max = 4");
    yard.attach("w1", 9);
    call(&mut yard, &["one", "whole", "one", "two"]);
    assert_eq!(running(&yard), ["one#1"]);
    assert_eq!(blockers(&yard, "one#2"), ["l kept for whole#1"]);
    yard.exits("one#1", 0);
    assert_eq!(running(&yard), ["whole#1"]);
    yard.exits("whole#1", 0);
    assert_eq!(running(&yard), ["one#2", "two#1"]);
}

#[test]
fn steps_get_a_lock_in_the_order_in_which_they_came() {
    let mut yard = yard("max = 1");
    yard.attach("w1", 4);
    call(&mut yard, &["inner", "inner", "inner"]);
    for name in ["inner#3", "inner#1", "inner#2"] {
        yard.exits(name, 0);
    }
    assert_eq!(holders(&yard), ["inner#3/middle"]);
    assert_eq!(waiters(&yard), ["inner#1/middle", "inner#2/middle"]);
    yard.restart();
    yard.attach("w1", 4);
    assert_eq!(waiters(&yard), ["inner#1/middle", "inner#2/middle"], "also after a restart");
    yard.exits("inner#3", 0);
    assert_eq!(holders(&yard), ["inner#1/middle"]);
    assert_eq!(blockers(&yard, "inner#2"), ["l held by inner#1"]);
}

#[test]
fn a_step_has_its_place_already_and_goes_before_requests_that_would_need_one() {
    let mut yard = yard("max = 1");
    yard.attach("w1", 2);
    call(&mut yard, &["whole", "inner", "rival"]);
    yard.exits("inner#1", 0);
    assert_eq!(waiters(&yard), ["inner#1/middle", "rival#1+0"]);
    yard.exits("whole#1", 0);
    assert_eq!(holders(&yard), ["inner#1/middle"]);
    yard.exits("inner#1", 0);
    assert_eq!(holders(&yard), ["rival#1"]);
}

#[test]
fn one_that_waits_is_cancelled_and_wakes_the_next() {
    let mut yard = yard("max = 4");
    yard.attach("w1", 9);
    call(&mut yard, &["one", "whole", "one"]);
    assert_eq!(running(&yard), ["one#1"]);
    yard.stop("whole#1", "not needed", StopOrder::ASK);
    assert_eq!(running(&yard), ["one#1", "one#2"], "nothing is kept for it any more");
}

#[test]
fn one_that_holds_is_cancelled_and_releases_once_when_its_command_has_ended() {
    let mut yard = yard("max = 1");
    yard.attach("w1", 9);
    call(&mut yard, &["whole", "rival", "whole"]);
    yard.stop("whole#1", "not needed", StopOrder::ASK);
    assert_eq!(running(&yard), ["whole#1"], "what it runs is still there");
    yard.ends("whole#1", attempt::Outcome::Cancelled);
    assert_eq!(running(&yard), ["rival#1"], "and only one gets it");
}

#[test]
fn a_build_that_waits_within_a_step_is_cancelled_with_the_reason_and_what_always_runs_runs() {
    let mut yard = yard("max = 1");
    yard.attach("w1", 9);
    call(&mut yard, &["whole", "inner", "inner"]);
    yard.exits("inner#1", 0);
    yard.exits("inner#2", 0);
    yard.stop("inner#1", "by ann", StopOrder::ASK);
    assert_eq!(yard.steps("inner#1"), "before SUCCESS, middle SKIPPED, after running");
    assert_eq!(waiters(&yard), ["inner#2/middle"]);
    yard.exits("inner#1", 0);
    let end = yard.end_of("inner#1").unwrap();
    assert_eq!((end.result, end.reason.as_str()), (BuildResult::Cancelled, "by ann"));
    yard.exits("whole#1", 0);
    assert_eq!(holders(&yard), ["inner#2/middle"]);
}

#[test]
fn a_maximum_that_is_lowered_takes_nothing_away_and_one_that_is_raised_wakes() {
    let mut yard = yard("max = 4");
    yard.attach("w1", 9);
    call(&mut yard, &["one", "one", "one", "one", "one"]);
    assert_eq!(running(&yard).len(), 4);
    yard.reload(&configuration("max = 2"));
    assert_eq!(running(&yard).len(), 4);
    yard.exits("one#1", 0);
    yard.exits("one#2", 0);
    assert_eq!(running(&yard), ["one#3", "one#4"], "two are all there are now");
    yard.exits("one#3", 0);
    assert_eq!(running(&yard), ["one#4", "one#5"]);
    call(&mut yard, &["one"]);
    assert!(yard.is_waiting("one#6"));
    yard.reload(&configuration("max = 3"));
    assert_eq!(running(&yard), ["one#4", "one#5", "one#6"]);
}

#[test]
fn a_lock_that_is_gone_is_held_by_one_at_a_time_as_long_as_plans_know_it() {
    let mut yard = yard("max = 4");
    yard.attach("w1", 9);
    call(&mut yard, &["inner", "inner"]);
    let mut rest = configuration("max = 4").replace("lock.l = { max = 4 }\n", "");
    rest = rest.replace("locks = [{ name = \"l\"", "locks = [{ name = \"other\"");
    yard.reload(&rest);
    yard.exits("inner#1", 0);
    yard.exits("inner#2", 0);
    assert_eq!(yard.steps("inner#2"), "before SUCCESS, middle blocked, after waiting");
    yard.exits("inner#1", 0);
    assert_eq!(yard.steps("inner#2"), "before SUCCESS, middle running, after waiting");
}

#[test]
fn each_worker_has_its_own_of_a_lock_of_workers_and_some_have_more() {
    let mut yard = yard("scope = \"worker\", max = 1, max_for_worker = { w2 = 2 }");
    yard.attach("w1", 9);
    yard.attach("w2", 9);
    call(&mut yard, &["one", "one", "one", "one"]);
    let workers: Vec<_> =
        yard.engine.durable().builds().map(|build| build.worker.to_string()).collect();
    assert_eq!(workers.iter().filter(|worker| *worker == "w1").count(), 1);
    assert_eq!(workers.iter().filter(|worker| *worker == "w2").count(), 2);
    let told = blockers(&yard, "one#4");
    assert_eq!(told.len(), 2);
    assert!(told[0].starts_with("l on w1 held by ") && told[1].starts_with("l on w2 held by "));
}

#[test]
fn a_lost_worker_keeps_its_locks_until_nothing_of_the_build_can_run() {
    let mut yard = yard("max = 1");
    yard.attach("w1", 4);
    yard.attach("w2", 4);
    call(&mut yard, &["whole", "rival"]);
    let (_, worker) = yard.command("whole#1");
    yard.detach(worker.as_str());
    assert!(yard.is_waiting("rival#1"), "it may still run");
    yard.give_up(Abandoned::Request(yard.id("whole#1")));
    assert!(yard.is_waiting("rival#1"), "it still may, though nobody waits for it");
    assert_eq!(holders(&yard), ["?"]);
    yard.restart();
    let other = if worker.as_str() == "w1" { "w2" } else { "w1" };
    yard.attach(other, 4);
    assert!(yard.is_waiting("rival#1"), "a restart knows it");
    yard.attach(worker.as_str(), 4);
    assert!(yard.is_waiting("rival#1"), "it is told to end");
    yard.one_ends(worker.as_str(), 0, 0);
    assert_eq!(running(&yard), ["rival#1"]);
}

#[test]
fn a_lock_is_not_kept_for_one_that_has_no_worker() {
    let mut yard = yard("max = 1");
    yard.attach("w1", 4);
    call(&mut yard, &["bound", "rival"]);
    assert_eq!(running(&yard), ["rival#1"]);
}

#[test]
fn a_lock_is_kept_for_one_whose_worker_is_full() {
    let mut yard = yard("max = 1");
    yard.attach("w1", 4);
    yard.attach("w2", 1);
    call(&mut yard, &["free", "bound", "rival"]);
    assert_eq!(running(&yard), ["free#1"]);
    assert_eq!(blockers(&yard, "rival#1")[0], "l kept for bound#1");
    yard.exits("free#1", 0);
    assert_eq!(running(&yard), ["bound#1"]);
}

#[test]
fn a_step_whose_worker_is_away_keeps_no_lock_from_others() {
    let mut yard = yard("max = 1");
    yard.attach("w1", 1);
    call(&mut yard, &["inner"]);
    yard.attach("w2", 4);
    call(&mut yard, &["whole"]);
    yard.exits("inner#1", 0);
    assert_eq!(waiters(&yard), ["inner#1/middle"]);
    yard.detach("w1");
    call(&mut yard, &["rival"]);
    yard.exits("whole#1", 0);
    assert_eq!(holders(&yard), ["rival#1"]);
    yard.attach("w1", 1);
    yard.exits("rival#1", 0);
    assert_eq!(holders(&yard), ["inner#1/middle"]);
}
