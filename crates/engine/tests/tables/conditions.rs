//! Conditions of steps, and expressions in their arguments.

use config::Value;
use engine::BuildResult::{Exception, Failure, Success};
use engine::{LaunchWait, NewChange};

use crate::building::building;
use crate::yard::{SOURCE, Yard, accepted};

/// Behaviour 41: a step whose condition does not hold is skipped.
#[test]
fn a_step_whose_condition_does_not_hold_is_skipped_and_decides_nothing() {
    for (when, expected, result) in [
        ("true", "a SUCCESS, b SUCCESS, c SUCCESS", Success),
        ("false", "a SUCCESS, b SKIPPED, c SUCCESS", Success),
        ("build.number == 1 && worker.name == 'w1'", "a SUCCESS, b SUCCESS, c SUCCESS", Success),
        ("change.branch == 'main'", "a SUCCESS, b SKIPPED, c SUCCESS", Success),
        ("has(prop.x) && prop.x", "a SUCCESS, b SKIPPED, c SUCCESS", Success),
        ("prop.x", "a SUCCESS, b EXCEPTION, c SKIPPED", Exception),
        ("prop.buildnumber", "a SUCCESS, b EXCEPTION, c SKIPPED", Exception),
    ] {
        let mut yard = building(&format!(
            "{{ name = \"a\", command = [\"a\"] }}, \
             {{ name = \"b\", command = [\"b\"], when = \"{when}\" }}, \
             {{ name = \"c\", command = [\"c\"] }}"
        ));
        while yard.end_of("ci#1").is_none() {
            yard.exits("ci#1", 0);
        }
        assert_eq!(yard.steps("ci#1"), expected, "{when}");
        assert_eq!(yard.end_of("ci#1").map(|end| end.result), Some(result), "{when}");
    }
}

#[test]
fn a_skipped_step_says_which_condition_does_not_hold_and_a_bad_one_what_is_wrong() {
    let mut yard = building(
        "{ name = \"a\", command = [\"a\"], when = \"build.number > 1\" }, \
         { name = \"b\", command = [\"b\"], when = \"prop.x > 1\" }",
    );
    assert_eq!(yard.steps("ci#1"), "a SKIPPED, b EXCEPTION");
    let details: Vec<&str> =
        yard.build("ci#1").steps.iter().map(|step| step.detail.as_str()).collect();
    assert_eq!(details[0], "its condition does not hold: build.number > 1");
    assert_eq!(details[1], "its condition `prop.x > 1`: there is no `prop.x` here");
    let reason = yard.end_of("ci#1").unwrap().reason;
    assert_eq!(reason, format!("step b did not start: {}", details[1]));
    assert!(yard.machine("w1").starts.is_empty());
}

#[test]
fn a_condition_sees_what_earlier_steps_set_and_a_failed_build_comes_first() {
    let yard = |left: &str, code: i32| {
        let mut yard = building(
            "{ name = \"a\", command = [\"a\"], set_properties = \"a.json\", exit_codes = { 1 = \"failure\" } }, \
             { name = \"b\", command = [\"b\"], when = \"version(prop.v) >= version('3.10')\" }, \
             { name = \"c\", command = [\"c\"], when = \"prop.v != '3.9'\", always_run = true }",
        );
        let left = attempt::Properties::Written(left.into());
        yard.ends_with("ci#1", attempt::Outcome::Exited(code), Some(left));
        yard
    };
    assert_eq!(yard("{\"v\": \"3.10.2\"}", 0).steps("ci#1"), "a SUCCESS, b running, c waiting");
    assert_eq!(yard("{\"v\": \"3.9\"}", 0).steps("ci#1"), "a SUCCESS, b SKIPPED, c SKIPPED");
    let failed = yard("{\"v\": \"3.11\"}", 1);
    assert_eq!(failed.steps("ci#1"), "a FAILURE, b SKIPPED, c running");
    let failed = yard("{\"v\": \"3.9\"}", 1);
    assert_eq!(failed.steps("ci#1"), "a FAILURE, b SKIPPED, c SKIPPED");
    assert_eq!(failed.end_of("ci#1").map(|end| end.result), Some(Failure));
}

#[test]
fn lists_of_expressions_are_spliced_and_bytes_stay_bytes() {
    let mut yard = Yard::new(
        r#"
worker.all = { names = ["w1"] }
app.x = { builder = "x" }
builder.x = { workers = ["all"], steps = [{ command = [
  "x", "${args.map(a, '--file=' + a)}", "${args.filter(a, a == 'nobody')}", "n=${size(args) + 1}", "${user.name == 'ann' ? ['for', 'ann'] : []}",
], env = { FILES = "${args.join(':')}" } }] }
"#,
    );
    yard.attach("w1", 1);
    accepted(yard.call("x", LaunchWait::Detach));
    let order = &yard.machine("w1").starts[0];
    let expected: [&[u8]; 6] = [b"x", b"--file=a b", b"--file=\xff", b"n=3", b"for", b"ann"];
    assert_eq!(order.argv, expected);
    let files = order.env.iter().find(|(name, _)| name == b"FILES").map(|(_, value)| value);
    assert_eq!(files, Some(&b"a b:\xff".to_vec()));
}

#[test]
fn no_value_of_a_change_is_ever_read_as_an_expression() {
    let mut yard = Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1"] }}
builder.x = {{ workers = ["all"], steps = [{{ command = ["x", "${{prop.p}}", "${{prop.p + change.branch}}"] }}] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", builders = ["x"] }}
"#
    ));
    yard.attach("w1", 1);
    let evil = "${user.name} $(id) `id`; rm -rf / ${1 + 1}";
    let properties = [("p".to_owned(), Value::Str(evil.to_owned()))].into();
    let branch = Some("${build.number}".to_owned());
    yard.change(NewChange { properties, branch, ..NewChange::default() });
    let argv = &yard.machine("w1").starts[0].argv;
    assert_eq!(argv[1], evil.as_bytes());
    assert_eq!(argv[2], format!("{evil}${{build.number}}").as_bytes());
}
