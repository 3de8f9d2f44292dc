//! Requests that ask for the same are merged, where their builder wants it.

use std::collections::BTreeMap;

use attempt::StopOrder;
use config::Value;
use engine::{
    BuildResult, LaunchWait, NewChange, Offer, RequestName, Standing, Submission, Unfinished,
};

use crate::yard::{End, SOURCE, Yard, accepted};

/// Builder `ci` merges, `each` does not.
fn yard() -> Yard {
    Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1"], max_builds = 8 }}
app.call = {{ builder = "ci", on_disconnect = "keep" }}
[builder.ci]
workers = ["all"]
collapse_requests = true
steps = [{{ name = "make", command = ["make", "${{revision.id}}"] }}]
[builder.each]
workers = ["all"]
steps = [{{ name = "make", command = ["make"] }}]
[scheduler.push]
type = "any_branch"
change_source = "{SOURCE}"
filter = {{ category = {{ not = "launch" }} }}
builders = ["ci", "each"]
"#
    ))
}

fn on(branch: &str, revision: &str) -> NewChange {
    NewChange {
        branch: Some(branch.to_owned()),
        revision: Some(revision.to_owned()),
        ..NewChange::default()
    }
}

fn merged(yard: &Yard, name: &str) -> Option<String> {
    match yard.standing(name)? {
        Standing::Merged { into, .. } => Some(into.to_string()),
        Standing::Waiting { .. } | Standing::Running { .. } => None,
    }
}

fn end(result: BuildResult, exit_code: u8, reason: &str) -> Option<End> {
    Some(End { result, exit_code, reason: reason.to_owned() })
}

#[test]
fn what_asks_for_the_same_is_merged_and_ends_with_the_result_of_the_one_it_was_merged_into() {
    let mut yard = yard();
    for revision in ["a", "b", "c"] {
        yard.change(on("main", revision));
    }
    assert_eq!(merged(&yard, "ci#2").as_deref(), Some("ci#1"));
    assert_eq!(merged(&yard, "ci#3").as_deref(), Some("ci#1"));
    assert!(["each#1", "each#2", "each#3"].iter().all(|name| yard.is_waiting(name)), "off");
    yard.restart();
    yard.attach("w1", 8);
    let built = yard.machine("w1").starts.iter().find(|order| order.argv.len() == 2).unwrap();
    assert_eq!(built.argv[1], b"c", "the newest change is built");
    yard.restart();
    yard.attach("w1", 8);
    yard.exits("ci#1", 3);
    assert_eq!(yard.end_of("ci#1"), end(BuildResult::Failure, 3, ""));
    assert_eq!(yard.end_of("ci#2"), end(BuildResult::Failure, 3, "merged into ci#1"));
    assert_eq!(yard.end_of("ci#3"), end(BuildResult::Failure, 3, "merged into ci#1"));
    assert_eq!(yard.requests[&yard.id("ci#1")].changes.len(), 3);
}

#[test]
fn only_what_asks_for_the_same_is_merged() {
    let property = |value: i64| BTreeMap::from([("level".to_owned(), Value::Int(value))]);
    let changes = [
        NewChange { branch: Some("next".to_owned()), ..on("", "a") },
        NewChange { repository: "r".to_owned(), ..on("main", "a") },
        NewChange { project: "p".to_owned(), ..on("main", "a") },
        NewChange { codebase: "c".to_owned(), ..on("main", "a") },
        NewChange { category: Some("nightly".to_owned()), ..on("main", "a") },
        NewChange { properties: property(1), ..on("main", "a") },
        NewChange { properties: property(2), ..on("main", "a") },
    ];
    let mut yard = yard();
    yard.change(on("main", "a"));
    for change in changes {
        let accepted = yard.change(change.clone());
        let name = accepted.requests[0].to_string();
        assert!(yard.is_waiting(&name), "{change:?}");
    }
}

#[test]
fn what_other_people_want_is_never_merged_and_no_call_of_an_app_is() {
    let mut yard = yard();
    let sent = |yard: &mut Yard, principal: &str, key: &str| {
        let offer = Offer::Change(on("main", "a"));
        let (principal, key) = (principal.to_owned(), key.to_owned());
        accepted(yard.submit(Submission { principal, key, body: 0, offer }))
    };
    sent(&mut yard, "unix:h:1", "a");
    sent(&mut yard, "unix:h:2", "b");
    sent(&mut yard, "unix:h:1", "c");
    assert!(yard.is_waiting("ci#2"), "another owner");
    assert_eq!(merged(&yard, "ci#3").as_deref(), Some("ci#1"));
    for _ in 0..2 {
        yard.call("call", LaunchWait::Detach);
    }
    assert!(yard.is_waiting("call#1") && yard.is_waiting("call#2"));
}

#[test]
fn what_runs_takes_nothing_in_any_more() {
    let mut yard = yard();
    yard.attach("w1", 2);
    yard.change(on("main", "a"));
    yard.change(on("main", "b"));
    assert!(yard.is_waiting("ci#2"));
    yard.change(on("main", "c"));
    assert_eq!(merged(&yard, "ci#3").as_deref(), Some("ci#2"));
}

#[test]
fn a_higher_priority_takes_what_it_is_merged_into_along() {
    let mut yard = yard();
    yard.change(on("main", "a"));
    yard.change(on("next", "a"));
    let (ticket, request) = (yard.ticket(), yard.id("ci#2"));
    yard.happens(engine::Event::PriorityWanted { ticket, request, priority: 5 });
    yard.answer(ticket);
    yard.change(on("next", "b"));
    assert_eq!(merged(&yard, "ci#3").as_deref(), Some("ci#2"));
    assert_eq!(yard.requests[&yard.id("ci#2")].priority, 5);
}

#[test]
fn whoever_is_cancelled_in_the_queue_leaves_alone_and_the_next_takes_its_place() {
    for cancelled in ["ci#1", "ci#2", "ci#3"] {
        let mut yard = yard();
        for revision in ["a", "b", "c"] {
            yard.change(on("main", revision));
        }
        yard.stop(cancelled, "stopped by ann", StopOrder::ASK);
        assert_eq!(yard.end_of(cancelled), end(BuildResult::Cancelled, 130, "stopped by ann"));
        yard.restart();
        yard.attach("w1", 8);
        let left: Vec<&str> =
            ["ci#1", "ci#2", "ci#3"].into_iter().filter(|name| *name != cancelled).collect();
        yard.exits(left[0], 0);
        assert_eq!(yard.end_of(left[0]), end(BuildResult::Success, 0, ""));
        let into = format!("merged into {}", left[0]);
        assert_eq!(yard.end_of(left[1]), end(BuildResult::Success, 0, &into));
        assert_eq!(yard.requests[&yard.id(left[0])].changes.len(), 2, "its own and the other's");
    }
}

#[test]
fn what_is_stopped_while_it_runs_ends_with_all_that_were_merged_into_it() {
    let mut yard = yard();
    yard.change(on("main", "a"));
    yard.change(on("main", "b"));
    yard.attach("w1", 8);
    yard.stop("ci#1", "stopped by ann", StopOrder::ASK);
    yard.exits("ci#1", 0);
    assert_eq!(yard.end_of("ci#1"), end(BuildResult::Cancelled, 0, "stopped by ann"));
    let reason = "merged into ci#1: stopped by ann";
    assert_eq!(yard.end_of("ci#2"), end(BuildResult::Cancelled, 0, reason));
}

#[test]
fn where_it_stands_is_told_of_both() {
    let mut yard = yard();
    yard.change(on("main", "a"));
    yard.changed.clear();
    yard.change(on("main", "b"));
    assert!(yard.changed.contains(&yard.id("ci#1")) && yard.changed.contains(&yard.id("ci#2")));
    let into: RequestName = "ci#1".parse().unwrap();
    let Some(Standing::Merged { into: told, standing }) = yard.standing("ci#2") else {
        panic!("it is merged")
    };
    assert_eq!((told, Some(*standing)), (into, yard.standing("ci#1")));
    yard.changed.clear();
    yard.attach("w1", 8);
    assert!(yard.changed.contains(&yard.id("ci#2")), "its followers hear that it runs");
}

#[test]
fn the_queue_of_a_backup_ends_with_what_was_merged() {
    let mut yard = yard();
    yard.change(on("main", "a"));
    yard.change(on("main", "b"));
    let backup = yard.engine.durable().rows();
    yard.restore_backup(backup, Unfinished::End);
    for name in ["ci#1", "ci#2"] {
        assert_eq!(yard.end_of(name).unwrap().result, BuildResult::Exception, "{name}");
    }
}
