//! Conditions of builders: whether a request is let into its line at all.

use engine::BuildResult::{Exception, Skipped};
use engine::{LaunchWait, NewChange};

use crate::yard::{End, SOURCE, Yard};

/// Builders `ci`, with these keys, and `docs`, which asks for nothing.
fn yard(ci: &str, push: &str) -> Yard {
    Yard::new(&format!(
        r#"
properties.site = "yard"
worker.all = {{ names = ["w1"], properties = {{ place = "cellar" }} }}
app.ci = {{ builder = "ci", properties = {{ level = 3 }} }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", filter = {{ category = {{ not = "launch" }} }}, builders = ["ci", "docs"], properties = {{ level = 2 }}, {push} }}
[builder.ci]
workers = ["all"]
{ci}
default_properties = {{ level = 1, colour = "red" }}
steps = [{{ name = "make", command = ["make"] }}]
[builder.docs]
workers = ["all"]
steps = [{{ name = "docs", command = ["docs"] }}]
"#
    ))
}

fn on(branch: &str) -> NewChange {
    NewChange { branch: Some(branch.to_owned()), ..NewChange::default() }
}

fn end(yard: &Yard, name: &str) -> Option<(engine::BuildResult, u8, String)> {
    yard.end_of(name).map(|End { result, exit_code, reason }| (result, exit_code, reason))
}

/// Says how many builds were ever made.
fn builds(yard: &Yard) -> i64 {
    let rows = yard.engine.durable().rows();
    rows.counters.iter().find(|counter| counter.name == "build").map_or(0, |counter| counter.value)
}

/// Behaviour 41, of builds.
#[test]
fn a_builder_whose_condition_does_not_hold_is_skipped_and_no_worker_is_touched() {
    let why = "the condition of builder ci does not hold: change.branch == 'main'";
    for is_attached in [false, true] {
        let mut yard = yard("when = \"change.branch == 'main'\"", "");
        if is_attached {
            yard.attach("w1", 1);
        }
        yard.change(on("next"));
        assert_eq!(end(&yard, "ci#1"), Some((Skipped, 0, why.to_owned())), "at once");
        assert_eq!(builds(&yard), i64::from(is_attached), "of docs alone");
        yard.call("ci", LaunchWait::Follow);
        assert_eq!(end(&yard, "ci#2"), Some((Skipped, 75, why.to_owned())), "its app never ran");
        assert!(yard.machine("w1").starts.iter().all(|order| order.argv == [b"docs"]));
        yard.change(on("main"));
        assert_eq!(end(&yard, "ci#3"), None, "it holds");
        yard.restart();
        assert!(yard.is_waiting("ci#3"));
    }
}

#[test]
fn a_builders_condition_sees_everything_but_the_worker() {
    for (when, holds) in [
        ("build.number == 1 && build.builder == 'ci' && build.id == 'ci#1'", true),
        ("change.branch == 'main' && revision.id == null && size(args) == 0", true),
        ("prop.level == 2 && prop.colour == 'red' && prop.site == 'yard'", true),
        ("prop.buildername == 'ci' && prop.branch == 'main' && prop.owner != ''", true),
        ("!has(prop.workername) && !has(prop.place)", true),
        ("has(prop.workername)", false),
        ("prop.level == 1", false),
    ] {
        let mut yard = yard(&format!("when = \"{when}\""), "");
        yard.change(on("main"));
        assert_eq!(yard.is_waiting("ci#1"), holds, "{when}: {:?}", yard.end_of("ci#1"));
    }
}

#[test]
fn a_builders_condition_that_cannot_be_judged_is_an_exception_with_the_reason() {
    for (policy, docs_waits) in [("", true), ("cancel_failing_buildsets = true", false)] {
        let mut yard = yard("when = \"prop.missing > 1\"", policy);
        yard.change(on("main"));
        let why =
            "the condition of builder ci, `prop.missing > 1`: there is no `prop.missing` here";
        assert_eq!(end(&yard, "ci#1"), Some((Exception, 78, why.to_owned())));
        assert_eq!(yard.is_waiting("docs#1"), docs_waits, "it is a failure of its buildset");
    }
}

#[test]
fn what_is_skipped_merges_with_nothing_and_supersedes_nothing() {
    let when = "when = \"change.revision != 'b'\"";
    for (keys, policy) in [
        (format!("{when}\ncollapse_requests = true"), ""),
        (when.to_owned(), "cancel_old_builds = true"),
    ] {
        let mut yard = yard(&keys, policy);
        for revision in ["a", "b"] {
            yard.change(NewChange { revision: Some(revision.to_owned()), ..on("main") });
        }
        assert!(yard.is_waiting("ci#1"));
        assert_eq!(yard.end_of("ci#2").map(|end| end.result), Some(Skipped));
        yard.attach("w1", 1);
        assert_eq!(yard.engine.durable().request(yard.id("ci#1")).unwrap().changes.len(), 1);
    }
}
