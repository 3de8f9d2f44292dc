//! Properties: which of several counts, who may set them, and what becomes of what a step leaves.

use attempt::{LostReason, Outcome, Properties, StopOrder};
use config::Value;
use engine::BuildResult::{self, Cancelled, Exception, Failure, Success};
use engine::property::{Origins, Phase, Source};
use engine::{LaunchWait, NewChange};

use crate::yard::{ANN, SOURCE, Yard, accepted, named};

/// The places a property can come from, the weakest first.
const SOURCES: [&str; 7] =
    ["default", "global", "change", "scheduler", "builder", "worker", "step"];

/// A build whose second step is given `p`, with `p` set by these sources.
fn with(sources: &[&str]) -> Yard {
    let table = |source: &str, key: &str| {
        let is_set = sources.contains(&source);
        if is_set { format!(", {key} = {{ p = \"{source}\" }}") } else { String::new() }
    };
    let global = if sources.contains(&"global") { "properties.p = \"global\"" } else { "" };
    let mut yard = Yard::new(&format!(
        r#"
{global}
worker.all = {{ names = ["w1"]{worker} }}
builder.ci = {{ workers = ["all"]{builder}{default}, steps = [
  {{ name = "a", command = ["a"], set_properties = "a.json" }},
  {{ name = "b", command = ["b", "${{prop.p}}"] }},
] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", builders = ["ci"]{scheduler} }}
"#,
        worker = table("worker", "properties"),
        builder = table("builder", "properties"),
        default = table("default", "default_properties"),
        scheduler = table("scheduler", "properties"),
    ));
    yard.attach("w1", 1);
    let of_change = sources.contains(&"change").then(|| ("p".to_owned(), text("change")));
    yard.change(NewChange { properties: of_change.into_iter().collect(), ..NewChange::default() });
    yard.leaves("ci#1", if sources.contains(&"step") { "{\"p\": \"step\"}" } else { "{}" });
    yard
}

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

/// What the last started command was given, after its program.
fn given(yard: &mut Yard) -> Vec<String> {
    let order = yard.machine("w1").starts.last().expect("something was started");
    let words = order.argv[1..].iter();
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Behaviour 43, first half.
#[test]
fn of_every_two_sources_the_one_decides_that_buildbot_lets_decide() {
    for (strong, stronger) in SOURCES.iter().enumerate() {
        for weaker in &SOURCES[..strong] {
            let mut yard = with(&[weaker, stronger]);
            assert_eq!(given(&mut yard), [*stronger], "{weaker} and {stronger}");
        }
        let mut yard = with(&SOURCES[..=strong]);
        assert_eq!(given(&mut yard), [*stronger], "all up to {stronger}");
        let mut yard = with(&[stronger]);
        assert_eq!(given(&mut yard), [*stronger], "alone");
    }
    let yard = with(&[]);
    assert_eq!(yard.end_of("ci#1").map(|end| end.result), Some(Exception), "nobody set it");
}

/// Behaviour 43, second half.
#[test]
fn what_a_step_sets_later_steps_read_and_a_restart_keeps() {
    let mut yard = Yard::new(
        r#"
worker.all = { names = ["w1"] }
app.x = { builder = "x" }
builder.x = { workers = ["all"], steps = [
  { name = "a", command = ["a"], set_properties = "out/a.json" },
  { name = "b", command = ["b", "${prop.n}", "${prop.list}"], set_properties = "b.json" },
  { name = "c", command = ["c", "${prop.n}", "${prop.list}", "${prop.more}"] },
] }
"#,
    );
    yard.attach("w1", 1);
    accepted(yard.call("x", LaunchWait::Detach));
    let file = yard.machine("w1").starts[0].properties_file.clone();
    assert_eq!(file.as_deref(), Some(&b"out/a.json"[..]));
    yard.leaves("x#1", r#"{"n": 1, "list": ["p q", true, 2.5]}"#);
    assert_eq!(given(&mut yard), ["1", "p q", "true", "2.5"]);
    yard.restart();
    yard.attach("w1", 1);
    yard.leaves("x#1", r#"{"n": 2, "more": "x"}"#);
    assert_eq!(given(&mut yard), ["2", "p q", "true", "2.5", "x"]);
    let build = yard.build("x#1");
    let from: Vec<String> = build.properties.values().map(|one| one.source.to_string()).collect();
    assert_eq!(from, ["step a", "step b", "step b"], "list, more, n");
    yard.exits("x#1", 0);
    assert_eq!(yard.end_of("x#1").map(|end| end.result), Some(Success));
}

#[test]
fn nothing_overrides_who_called() {
    let mut yard = Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1"] }}
app.x = {{ builder = "x" }}
builder.x = {{ workers = ["all"], steps = [
  {{ name = "a", command = ["a"], set_properties = "a.json", on_failure = "continue" }},
  {{ name = "b", command = ["b", "${{user.name}}", "${{prop.user}}", "${{prop.owner}}"], always_run = true }},
] }}
builder.y = {{ workers = ["all"], steps = [{{ command = ["y", "${{prop.owner}}"] }}, {{ name = "z", command = ["z", "${{prop.user}}"] }}] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", builders = ["y"], filter.category = "plain" }}
scheduler.fooled = {{ type = "any_branch", change_source = "{SOURCE}", builders = ["y"], filter.property.user = "root" }}
"#
    ));
    yard.attach("w1", 1);
    accepted(yard.call("x", LaunchWait::Detach));
    yard.leaves("x#1", r#"{"user": "root"}"#);
    assert_eq!(yard.steps("x#1"), "a EXCEPTION, b running");
    assert_eq!(given(&mut yard), ["ann", "ann", ANN]);
    yard.exits("x#1", 0);
    let end = yard.end_of("x#1").unwrap();
    let why = "step a left properties that are not: `user` is who called, and nobody else's to set";
    assert_eq!((end.result, end.exit_code, end.reason.as_str()), (Exception, 78, why));

    let root = [("user".to_owned(), text("root")), ("owner".to_owned(), text("unix:here:0"))];
    let category = Some("plain".to_owned());
    yard.change(NewChange { properties: root.into(), category, ..NewChange::default() });
    assert_eq!(yard.names(), ["x#1", "y#1"], "a filter is not fooled either");
    assert_eq!(given(&mut yard), [ANN]);
    yard.exits("y#1", 0);
    let reason = yard.end_of("y#1").unwrap().reason;
    assert_eq!(reason, "step z did not start: there is no `prop.user` here");
}

/// A yard in which `x#1` runs a step that was asked for properties.
fn asked() -> Yard {
    let mut yard = Yard::new(
        r#"
worker.all = { names = ["w1"] }
app.x = { builder = "x" }
builder.x = { workers = ["all"], steps = [
  { name = "a", command = ["a"], set_properties = "a.json", exit_codes = { 7 = "skipped" }, retry_safe = true },
] }
"#,
    );
    yard.attach("w1", 1);
    accepted(yard.call("x", LaunchWait::Detach));
    yard
}

#[test]
fn a_step_that_owes_properties_and_leaves_none_has_an_exception() {
    let written = |text: &str| Some(Properties::Written(text.into()));
    let missing = || Some(Properties::Missing("it wrote no `a.json`".to_owned()));
    let set = |n: i64| Some(Value::Int(n));
    for (left, code, result, why, n) in [
        (written("{\"n\": 1}"), 0, Success, "", set(1)),
        (written("{\"n\": 1}"), 7, Success, "", set(1)),
        (written("{\"n\": 1}"), 3, Failure, "", set(1)),
        (written("{\"n\": 1"), 3, Failure, "", None),
        (missing(), 3, Failure, "", None),
        (missing(), 0, Exception, "step a left no properties: it wrote no `a.json`", None),
        (missing(), 7, Exception, "step a left no properties: it wrote no `a.json`", None),
        (written("7"), 0, Exception, "expected an object", None),
        (None, 0, Exception, "its worker is too old to take them", None),
    ] {
        let shown = format!("{left:?} {code}");
        let mut yard = asked();
        yard.ends_with("x#1", Outcome::Exited(code), left);
        let end = yard.end_of("x#1").unwrap();
        assert_eq!(end.result, result, "{shown}");
        assert!(end.reason.contains(why), "{shown}: {}", end.reason);
        let kept = yard.build("x#1").properties.get("n").map(|one| one.value.clone());
        assert_eq!(kept, n, "{shown}");
    }
}

#[test]
fn what_did_not_end_by_itself_sets_nothing() {
    let left = || Some(Properties::Written(b"{\"n\": 1}".to_vec()));
    for (outcome, is_stopped, result) in [
        (Outcome::Signal(9), false, Failure),
        (Outcome::Timeout, false, Failure),
        (Outcome::Exited(0), true, Cancelled),
    ] {
        let mut yard = asked();
        if is_stopped {
            yard.stop("x#1", "not needed", StopOrder::KILL);
        }
        yard.ends_with("x#1", outcome, left());
        assert!(yard.build("x#1").properties.is_empty());
        assert_eq!(yard.end_of("x#1").map(|end| end.result), Some::<BuildResult>(result));
    }
    let mut yard = asked();
    yard.ends_with("x#1", Outcome::Lost(LostReason::Supervisor), None);
    assert_eq!(yard.steps("x#1"), "a running", "it is repeated");
    yard.leaves("x#1", "{\"n\": 2}");
    assert_eq!(yard.build("x#1").properties["n"].value, Value::Int(2));
}

#[test]
fn all_properties_of_a_build_are_shown_with_their_source() {
    let yard = with(&SOURCES);
    let durable = yard.engine.durable();
    let request = durable.request(yard.id("ci#1")).unwrap();
    let build = durable.builds().next().unwrap();
    let change = durable.change(request.change).unwrap();
    let all = Origins { change, request, phase: Phase::Build(build) }.all();
    let shown: Vec<String> = all
        .iter()
        .map(|(name, property)| format!("{name}={} ({})", property.value, property.source))
        .collect();
    assert_eq!(
        shown,
        [
            "buildername=ci (build)",
            "buildnumber=1 (build)",
            "codebase= (build)",
            "owner=unix:here:1000 (caller)",
            "p=step (step a)",
            "project= (build)",
            "reason=scheduler push (build)",
            "repository= (build)",
            "workername=w1 (build)",
        ]
    );
    assert_eq!(all["p"].source, Source::Step(named("a")));
}
