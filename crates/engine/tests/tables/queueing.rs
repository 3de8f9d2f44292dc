//! Who is served when, by which worker, and what a request that waits says.

use attempt::StopOrder;
use engine::{Absence, Blocker, NewChange, Standing, Stopped};

use crate::yard::{SECOND, SOURCE, Yard, named};

fn yard(workers: &str) -> Yard {
    Yard::new(&configuration(workers))
}

fn configuration(workers: &str) -> String {
    format!(
        r#"
{workers}
app.ci = {{ builder = "ci", on_disconnect = "keep" }}
app.docs = {{ builder = "docs", on_disconnect = "keep" }}
builder.ci = {{ workers = ["all"], steps = [{{ name = "make", command = ["make"] }}] }}
builder.docs = {{ workers = ["all"], steps = [{{ command = ["docs"] }}] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", filter = {{ category = {{ not = "launch" }} }}, builders = ["ci"] }}
"#
    )
}

#[test]
fn a_worker_takes_as_many_builds_as_it_and_all_its_groups_allow() {
    for (groups, says, expected) in [
        ("worker.all = { names = [\"w1\"] }", 3, 3),
        ("worker.all = { names = [\"w1\"] }", 0, 0),
        ("worker.all = { names = [\"w1\"], max_builds = 2 }", 3, 2),
        ("worker.all = { names = [\"w1\"], max_builds = 5 }", 3, 3),
        (
            "worker.all = { names = [\"w1\"], max_builds = 4 }\n\
             worker.more = { names = [\"w1\"], max_builds = 2 }",
            5,
            2,
        ),
        (
            "worker.all = { names = [\"w1\"] }\nworker.more = { names = [\"w2\"], max_builds = 1 }",
            4,
            4,
        ),
    ] {
        let mut yard = yard(groups);
        let stamp = yard.attach("w1", says);
        assert_eq!(yard.engine.attached(&named("w1")), Some((stamp, expected)));
        for _ in 0..6 {
            yard.launch("ci");
        }
        let started = yard.machine("w1").starts.len();
        assert_eq!(u32::try_from(started), Ok(expected), "{groups}, {says}");
    }
}

#[test]
fn a_builder_serves_in_the_order_of_arrival() {
    let mut yard = yard("worker.all = { names = [\"w1\"] }");
    let names: Vec<String> = (0..4).map(|_| yard.launch("ci")).collect();
    yard.stop(&names[1], "", StopOrder::KILL);
    yard.attach("w1", 1);
    for name in [&names[0], &names[2], &names[3]] {
        assert_eq!(yard.steps(name), "make running");
        yard.exits(name, 0);
    }
}

#[test]
fn the_oldest_request_of_all_builders_is_served_first() {
    let mut yard = yard("worker.all = { names = [\"w1\"] }");
    let order = ["docs", "ci", "ci", "docs"].map(|app| yard.launch(app));
    yard.attach("w1", 1);
    for name in &order {
        assert!(matches!(yard.standing(name), Some(Standing::Running { .. })), "{name}");
        yard.exits(name, 0);
    }
}

#[test]
fn a_builder_that_cannot_start_holds_no_other_back() {
    let mut yard = Yard::new(
        &configuration("worker.all = { names = [\"w1\"] }\nworker.gpu = { names = [\"w2\"] }")
            .replace("builder.ci = { workers = [\"all\"]", "builder.ci = { workers = [\"gpu\"]"),
    );
    let (first, second) = (yard.launch("ci"), yard.launch("docs"));
    yard.attach("w1", 1);
    assert!(yard.is_waiting(&first) && !yard.is_waiting(&second));
}

#[test]
fn the_worker_with_most_free_places_gets_the_next_build_on_its_lowest_slot() {
    let mut yard = yard("worker.all = { names = [\"w1\", \"w2\"] }");
    yard.attach("w1", 1);
    yard.attach("w2", 3);
    let names: Vec<String> = (0..4).map(|_| yard.launch("ci")).collect();
    let place = |yard: &Yard, name: &str| {
        let build = yard.build(name);
        (build.worker.to_string(), build.slot)
    };
    let places: Vec<_> = names.iter().map(|name| place(&yard, name)).collect();
    let on = |worker: &str, slot| (worker.to_owned(), slot);
    assert_eq!(places, [on("w2", 0), on("w2", 1), on("w1", 0), on("w2", 2)]);
    yard.exits(&names[1], 0);
    let next = yard.launch("ci");
    assert_eq!(place(&yard, &next), on("w2", 1));
    // Slots are taken over a restart, too.
    yard.restart();
    yard.exits(&names[0], 0);
    yard.attach("w2", 3);
    let last = yard.launch("ci");
    assert_eq!(place(&yard, &last), on("w2", 0));
}

#[test]
fn a_waiting_request_names_every_blocker() {
    let mut yard = yard("worker.all = { names = [\"w1\", \"w2\"] }");
    let waiting = |place, blockers| Some(Standing::Waiting { place, blockers });
    let absent = || Blocker::NoWorkerAttached { configured: vec![named("w1"), named("w2")] };
    let (first, second, third) = (yard.launch("ci"), yard.launch("ci"), yard.launch("ci"));
    assert_eq!(yard.standing(&first), waiting(1, vec![absent()]));
    assert_eq!(yard.standing(&third), waiting(3, vec![absent(), Blocker::Behind { ahead: 2 }]));

    yard.attach("w1", 1);
    let by = vec![yard.build(&first).name.clone()];
    let full = || Blocker::WorkerFull { worker: named("w1"), places: 1, by: by.clone(), kept: 0 };
    assert_eq!(yard.standing(&second), waiting(1, vec![full()]));
    assert_eq!(yard.standing(&third), waiting(2, vec![full(), Blocker::Behind { ahead: 1 }]));

    yard.attach("w2", 0);
    let none = || Blocker::WorkerFull { worker: named("w2"), places: 0, by: vec![], kept: 0 };
    assert_eq!(yard.standing(&second), waiting(1, vec![full(), none()]));

    yard.restart_as(
        &configuration("worker.all = { names = [\"w1\"] }")
            .replace("builder.ci ", "builder.cj ")
            .replace("\"ci\"", "\"cj\""),
    );
    let unknown = Blocker::BuilderUnknown { builder: named("ci") };
    assert_eq!(yard.standing(&second), waiting(1, vec![unknown]));
    yard.attach("w1", 4);
    assert!(yard.is_waiting(&second), "nothing is started of a builder that is gone");
    assert_eq!(yard.stop(&second, "", StopOrder::KILL), Stopped::Waiting);
}

#[test]
fn a_running_request_says_where_and_an_ended_one_nothing() {
    let mut yard = yard("worker.all = { names = [\"w1\"] }");
    yard.attach("w1", 1);
    yard.change(NewChange::default());
    let build = yard.build("ci#1").id;
    let standing = |away, is_stopped| {
        let (worker, step) = (named("w1"), Some(named("make")));
        Some(Standing::Running { build, worker, away, is_stopped, step, wait: None })
    };
    assert_eq!(yard.standing("ci#1"), standing(None, false));
    let left_us = yard.now.wall_us;
    yard.detach("w1");
    yard.wait(SECOND);
    assert_eq!(yard.standing("ci#1"), standing(Some(Absence::Since(left_us)), false));
    yard.restart();
    let started = Some(Absence::SinceStart(yard.now.wall_us));
    assert_eq!(yard.standing("ci#1"), standing(started, false));
    yard.stop("ci#1", "", StopOrder::KILL);
    assert_eq!(yard.standing("ci#1"), standing(started, true));
    yard.attach("w1", 1);
    assert_eq!(yard.standing("ci#1"), standing(None, true));
    yard.exits("ci#1", 0);
    assert_eq!(yard.standing("ci#1"), None);
}
