//! Which changes become requests, and when.

use std::collections::BTreeMap;

use config::Value;
use engine::{Answer, Event, NewChange, Offer, PolledChange, Submission};

use crate::yard::{ANN, SECOND, SOURCE, Yard, accepted, named};

fn yard(scheduler: &str) -> Yard {
    Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1"] }}
builder.ci = {{ workers = ["all"], steps = [{{ command = ["true"] }}] }}
builder.docs = {{ workers = ["all"], steps = [{{ command = ["true"] }}] }}
scheduler.push = {{ {scheduler} }}
"#
    ))
}

fn on(branch: &str) -> NewChange {
    let branch = Some(branch.to_owned()).filter(|branch| !branch.is_empty());
    NewChange { branch, ..NewChange::default() }
}

#[test]
fn a_scheduler_takes_what_its_filter_lets_pass() {
    let plain = || on("main");
    let with = |edit: fn(&mut NewChange)| {
        let mut change = plain();
        edit(&mut change);
        change
    };
    let files: fn(&mut NewChange) =
        |change| change.files = vec![b"src/a/b.rs".to_vec(), b"doc/x".to_vec()];
    let property = |value: Value| NewChange {
        properties: BTreeMap::from([("level".to_owned(), value)]),
        ..plain()
    };
    for kind in ["any_branch", "single_branch"] {
        for (filter, change, is_taken) in [
            ("", plain(), true),
            ("", on(""), true),
            ("branch = \"main\"", plain(), true),
            ("branch = \"main\"", on("dev"), false),
            ("branch = \"main\"", on(""), false),
            ("branch = \"\"", on(""), true),
            ("branch = \"\"", plain(), false),
            ("branch = [\"dev\", { glob = \"ma*\" }]", plain(), true),
            ("branch = { glob = \"release/*\" }", on("release/1.0"), true),
            ("branch = { glob = \"release/*\" }", on("release/1/2"), false),
            ("branch = { glob = \"*\" }", on(""), false),
            ("branch = { regex = \"^v[0-9]+$\" }", on("v12"), true),
            ("branch = { regex = \"^v[0-9]+$\" }", on("v12a"), false),
            ("branch = { not = { regex = \"^wip\" } }", on("wip-1"), false),
            ("branch = { not = { regex = \"^wip\" } }", on(""), true),
            ("category = \"tag\"", with(|change| change.category = Some("tag".into())), true),
            ("category = \"tag\"", plain(), false),
            ("project = \"p\"", with(|change| change.project = "p".into()), true),
            ("project = \"p\"", plain(), false),
            ("repository = \"r\"", with(|change| change.repository = "r".into()), true),
            ("repository = \"r\"", plain(), false),
            ("author = \"ann\"", with(|change| change.author = b"ann".into()), true),
            ("author = \"ann\"", with(|change| change.author = b"bob".into()), false),
            ("property.level = \"3\"", property(Value::Str("3".into())), true),
            ("property.level = \"3\"", property(Value::Int(3)), true),
            ("property.level = \"3\"", plain(), false),
            ("codebase = \"c\"", with(|change| change.codebase = "c".into()), true),
            ("codebase = \"c\"", plain(), false),
            (
                "revision = { glob = \"ab*\" }",
                with(|change| change.revision = Some("abc".into())),
                true,
            ),
            ("revision = { glob = \"ab*\" }", plain(), false),
            ("comments = { not = { regex = \"ci skip\" } }", plain(), true),
            (
                "comments = { not = { regex = \"ci skip\" } }",
                with(|change| change.comments = b"x [ci skip]".to_vec()),
                false,
            ),
            ("files = { glob = \"src/**\" }", plain(), false),
            ("files = \"\"", plain(), true),
            ("files = { glob = \"src/**\" }", with(files), true),
            ("files = [\"a\", { glob = \"doc/*\" }]", with(files), true),
            ("files = { not = { glob = \"src/**\" } }", with(files), false),
            ("files = { not = { glob = \"lib/**\" } }", with(files), true),
            ("property.level = \"\"", plain(), true),
            ("property.level = { not = \"3\" }", property(Value::Int(3)), false),
            ("property.level = \"3\"", property(Value::List(vec![Value::Int(3)])), true),
            // All conditions have to hold.
            ("branch = \"main\", project = \"p\"", plain(), false),
            (
                "branch = \"main\", project = \"p\"",
                with(|change| change.project = "p".into()),
                true,
            ),
        ] {
            let mut yard = yard(&format!(
                "type = \"{kind}\", change_source = \"{SOURCE}\", builders = [\"ci\"], \
                 filter = {{ {filter} }}"
            ));
            let shown = format!("{kind}, {filter}, {change:?}");
            let made = yard.change(change).requests.len();
            assert_eq!(made, usize::from(is_taken), "{shown}");
        }
    }
}

#[test]
fn a_single_branch_takes_its_branch_alone() {
    let with =
        format!("type = \"single_branch\", change_source = \"{SOURCE}\", builders = [\"ci\"]");
    for (branch, change, is_taken) in [
        (", branch = \"main\"", "main", true),
        (", branch = \"main\"", "dev", false),
        (", branch = \"main\"", "", false),
        ("", "dev", true),
        ("", "", true),
        (", branch = \"main\", filter = { branch = \"dev\" }", "main", false),
    ] {
        let made = yard(&format!("{with}{branch}")).change(on(change)).requests.len();
        assert_eq!(made, usize::from(is_taken), "{branch} {change}");
    }
}

#[test]
fn a_scheduler_takes_changes_of_its_own_source_alone() {
    let mut yard = yard("type = \"any_branch\", change_source = \"git\", builders = [\"ci\"]");
    assert!(yard.change(on("main")).requests.is_empty());
    let polled = |branch| PolledChange { change: on(branch), when_us: 5 };
    let heads = BTreeMap::from([("main".to_owned(), "abc".to_owned())]);
    let ticket = yard.ticket();
    yard.happens(Event::Polled {
        ticket,
        source: named("git"),
        heads: heads.clone(),
        changes: vec![polled("main"), polled("dev")],
    });
    assert_eq!(yard.answer(ticket), Answer::Polled);
    assert_eq!(yard.names(), ["ci#1", "ci#2"]);
    yard.restart();
    assert_eq!(yard.engine.durable().heads_of(&named("git")), Some(heads));
}

#[test]
fn without_a_timer_every_builder_gets_its_request_at_once() {
    let mut yard = yard(&format!(
        "type = \"any_branch\", change_source = \"{SOURCE}\", builders = [\"ci\", \"docs\"]"
    ));
    let accepted = yard.change(on("main"));
    let made: Vec<String> = accepted.requests.iter().map(ToString::to_string).collect();
    assert_eq!((made.join(" "), accepted.schedulers.len()), ("ci#1 docs#1".to_owned(), 0));
    let sets: Vec<_> = yard.requests.values().map(|request| request.buildset).collect();
    assert_eq!(sets[0], sets[1], "requests of one reason are one set");
}

fn with_timer(kind: &str) -> Yard {
    yard(&format!(
        "type = \"{kind}\", change_source = \"{SOURCE}\", stable_timer = \"10s\", builders = [\"ci\"]"
    ))
}

#[test]
fn a_stable_timer_starts_anew_with_every_change() {
    for kind in ["any_branch", "single_branch"] {
        let mut yard = with_timer(kind);
        let first = yard.change(on("main"));
        assert_eq!((first.requests.len(), first.schedulers), (0, vec!["push".to_owned()]));
        yard.wait(6 * SECOND);
        let second = yard.change(on("main"));
        yard.wait(10 * SECOND - 1);
        assert!(yard.names().is_empty(), "{kind}");
        yard.wait(1);
        assert_eq!(yard.names(), ["ci#1"], "{kind}");
        let request = &yard.requests[&yard.id("ci#1")];
        assert_eq!(request.changes, [first.change, second.change]);
        assert_eq!(request.change, second.change, "the newest is what is built");
        yard.wait(60 * SECOND);
        assert_eq!(yard.names(), ["ci#1"], "{kind}: a timer fires once");
    }
}

#[test]
fn any_branch_keeps_lanes_apart_and_single_branch_does_not() {
    let changes = || {
        let main = || on("main");
        [
            main(),
            on("dev"),
            on(""),
            NewChange { repository: "r".into(), ..main() },
            NewChange { project: "p".into(), ..main() },
            NewChange { codebase: "c".into(), ..main() },
            // The same lanes again.
            on("dev"),
            NewChange { codebase: "c".into(), author: b"bob".into(), ..main() },
        ]
    };
    for (kind, lanes) in [("any_branch", vec![1, 1, 1, 1, 2, 2]), ("single_branch", vec![8])] {
        let mut yard = with_timer(kind);
        for change in changes() {
            yard.change(change);
        }
        yard.wait(10 * SECOND);
        let mut sizes: Vec<usize> =
            yard.requests.values().map(|request| request.changes.len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, lanes, "{kind}");
    }
}

#[test]
fn a_change_in_another_lane_does_not_hold_a_timer_back() {
    let mut yard = with_timer("any_branch");
    yard.change(on("main"));
    yard.wait(6 * SECOND);
    yard.change(on("dev"));
    yard.wait(4 * SECOND);
    assert_eq!(yard.names(), ["ci#1"]);
    yard.wait(6 * SECOND);
    assert_eq!(yard.names(), ["ci#1", "ci#2"]);
}

#[test]
fn a_stable_timer_survives_a_restart() {
    for (away, jump, left) in [
        (0, 0, 6),
        (3, 0, 3),
        (60, 0, 0),
        // The clock on the wall was set back, and ahead.
        (0, -3_600, 10),
        (0, 3_600, 0),
    ] {
        let mut yard = with_timer("any_branch");
        let change = yard.change(on("main")).change;
        yard.wait(4 * SECOND);
        yard.now.wall_us += (away + jump) * SECOND;
        yard.restart();
        let shown = format!("{away} s away, clock moved by {jump} s");
        if left > 0 {
            yard.wait(left * SECOND - 1);
            assert!(yard.names().is_empty(), "{shown}");
        }
        yard.wait(1);
        assert_eq!(yard.names(), ["ci#1"], "{shown}");
        assert_eq!(yard.requests[&yard.id("ci#1")].changes, [change]);
    }
}

#[test]
fn a_timer_whose_scheduler_is_gone_makes_nothing() {
    let mut yard = with_timer("any_branch");
    yard.change(on("main"));
    yard.restart_as("worker.all = { names = [\"w1\"] }");
    yard.wait(10 * SECOND);
    assert!(yard.names().is_empty());
    assert_eq!(yard.engine.durable().rows().changes, [], "nothing holds the change");
}

#[test]
fn what_comes_of_changes_belongs_to_who_sent_all_of_them() {
    let stable = &format!(
        "type = \"any_branch\", change_source = \"{SOURCE}\", stable_timer = \"1s\", \
         builders = [\"ci\"]"
    );
    let send = |yard: &mut Yard, principal: &str, key: &str| {
        let (principal, key) = (principal.to_owned(), key.to_owned());
        let offer = Offer::Change(on("main"));
        accepted(yard.submit(Submission { principal, key, body: 0, offer }));
    };
    let owner = |yard: &Yard| yard.requests[&yard.id("ci#1")].owner.clone();
    for (others, expected) in [(ANN, ANN), ("token:ci", "scheduler:push")] {
        let mut yard = yard(stable);
        send(&mut yard, ANN, "k1");
        send(&mut yard, others, "k2");
        yard.wait(2 * SECOND);
        assert_eq!(owner(&yard), expected);
    }
    let mut yard = yard(stable);
    let ticket = yard.ticket();
    let changes = vec![PolledChange { change: on("main"), when_us: 1 }];
    let (source, heads) = (named(SOURCE), BTreeMap::new());
    yard.happens(Event::Polled { ticket, source, heads, changes });
    yard.wait(2 * SECOND);
    assert_eq!(owner(&yard), "scheduler:push");
}
