//! What schedulers cancel by themselves: older builds of a branch, the rest of a failed buildset.

use attempt::StopOrder;
use engine::{BuildResult, NewChange};

use crate::yard::{End, SOURCE, Yard};

fn yard(policy: &str, workers: u32) -> Yard {
    let mut yard = Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1"], max_builds = 8 }}
builder.ci = {{ workers = ["all"], collapse_requests = true, steps = [{{ name = "make", command = ["make"] }}] }}
builder.docs = {{ workers = ["all"], steps = [{{ name = "docs", command = ["docs"] }}] }}
builder.lint = {{ workers = ["all"], steps = [{{ name = "lint", command = ["lint"] }}] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", builders = ["ci", "docs", "lint"], {policy} }}
"#
    ));
    if workers > 0 {
        yard.attach("w1", workers);
    }
    yard
}

fn on(branch: &str) -> NewChange {
    NewChange { branch: Some(branch.to_owned()), ..NewChange::default() }
}

fn cancelled(exit_code: u8, reason: &str) -> Option<End> {
    Some(End { result: BuildResult::Cancelled, exit_code, reason: reason.to_owned() })
}

#[test]
fn a_newer_change_of_a_branch_cancels_what_waits_for_an_older_one() {
    let mut yard = yard("cancel_old_builds = true", 0);
    yard.change(on("main"));
    yard.change(on("next"));
    yard.change(on("main"));
    for (builder, end) in [("ci", "superseded by ci#3"), ("docs", "superseded by docs#3")] {
        assert_eq!(yard.end_of(&format!("{builder}#1")), cancelled(130, end));
        assert!(yard.is_waiting(&format!("{builder}#2")), "another branch");
        assert!(yard.is_waiting(&format!("{builder}#3")));
    }
}

#[test]
fn a_newer_change_of_a_branch_stops_what_runs_for_an_older_one() {
    let mut yard = yard("cancel_old_builds = true", 3);
    yard.change(on("main"));
    let (command, _) = yard.command("ci#1");
    yard.change(on("main"));
    assert!(yard.machine("w1").stops.contains(&(command, StopOrder::ASK)));
    yard.ends("ci#1", attempt::Outcome::Signal(15));
    assert_eq!(yard.end_of("ci#1"), cancelled(143, "superseded by ci#2"));
}

#[test]
fn nothing_is_cancelled_that_nobody_asked_to_be() {
    let mut yard = yard("cancel_old_builds = false", 3);
    yard.change(on("main"));
    yard.change(on("main"));
    assert!(yard.machine("w1").stops.is_empty());
    yard.exits("ci#1", 1);
    assert!(yard.machine("w1").stops.is_empty());
    assert!(yard.standing("docs#1").is_some() && yard.standing("docs#2").is_some());
}

#[test]
fn when_one_of_a_buildset_fails_the_others_are_cancelled() {
    let mut yard = yard("cancel_failing_buildsets = true", 2);
    yard.change(on("main"));
    yard.change(on("next"));
    assert!(yard.is_waiting("lint#1"), "two places");
    yard.exits("docs#1", 1);
    let why = "docs#1 of the same buildset failed";
    assert_eq!(yard.end_of("lint#1"), cancelled(130, why));
    yard.ends("ci#1", attempt::Outcome::Signal(15));
    assert_eq!(yard.end_of("ci#1"), cancelled(143, why));
    assert!(yard.standing("ci#2").is_some(), "another buildset");
    assert!(yard.standing("docs#2").is_some() && yard.standing("lint#2").is_some());
}

#[test]
fn a_cancelled_or_successful_one_does_not_end_its_buildset() {
    let mut yard = yard("cancel_failing_buildsets = true", 1);
    yard.change(on("main"));
    yard.exits("ci#1", 0);
    yard.stop("docs#1", "not needed", StopOrder::ASK);
    yard.exits("docs#1", 0);
    assert!(yard.standing("lint#1").is_some());
}
