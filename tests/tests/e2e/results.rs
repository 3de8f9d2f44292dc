//! What steps' programs say by their exit codes, and what becomes of it in a build.

use std::fs;

use e2e::{Yard, wait_until};
use serde_json::json;

/// Programs that say `lint: warnings`, `tests: nothing to do here`, and a failure that is harmless.
const BUILDERS: &str = r#"
app.mild = { builder = "mild" }
app.strict = { builder = "strict" }
app.gate = { builder = "gate" }
[builder.mild]
workers = ["local"]
steps = [
  { name = "lint", script = "exit 3", exit_codes = { 3 = "warnings" }, warn_on_warnings = true },
  { name = "tests", script = "exit 77", exit_codes = { 77 = "skipped" } },
  { name = "cache", script = "exit 1", halt_on_failure = false, flunk_on_failure = false },
  { name = "done", script = "echo done" },
]
[builder.strict]
workers = ["local"]
steps = [
  { name = "lint", script = "exit 3", exit_codes = { 3 = "warnings" }, flunk_on_warnings = true },
  { name = "done", script = "echo done" },
]
[builder.gate]
workers = ["local"]
steps = [
  { name = "gate", script = "exit 4", on_failure = "warn", halt_on_failure = true },
  { name = "left-out", script = "echo left out" },
  { name = "clean", script = "echo clean", always_run = true },
]
"#;

/// Returns the words of a build and of its steps.
fn words(yard: &Yard, builder: &str) -> (String, Vec<String>) {
    let build = yard.ask(&["builds", builder]).remove(0);
    let word = |of: &serde_json::Value| of["result"].as_str().expect("a word").to_owned();
    let steps = build["steps"].as_array().expect("steps").iter().map(word).collect();
    (word(&build), steps)
}

#[test]
fn a_build_is_what_its_flags_make_of_exit_codes() {
    let yard = Yard::new(BUILDERS);
    let checked = yard.master(&["check"]);
    assert!(checked.code() == 0 && !checked.out().contains("W06"), "{}", checked.out());
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    for (app, code, out, build, steps) in [
        ("mild", 0, "done\n", "WARNINGS", &["WARNINGS", "SKIPPED", "FAILURE", "SUCCESS"][..]),
        ("strict", 3, "done\n", "FAILURE", &["WARNINGS", "SUCCESS"]),
        ("gate", 0, "clean\n", "WARNINGS", &["FAILURE", "SKIPPED", "SUCCESS"]),
    ] {
        let ran = yard.changeport(&["run", app]);
        assert_eq!((ran.code(), ran.out().as_str()), (code, out), "{app}: {}", ran.err());
        let steps = steps.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(words(&yard, app), (build.to_owned(), steps), "{app}");
    }
}

#[test]
fn what_an_exit_code_means_is_decided_by_the_plan_the_build_began_with() {
    let yard = Yard::new("");
    let gate = yard.path("gate");
    let builder = |codes: &str| {
        format!(
            "app.x = {{ builder = \"x\" }}\nbuilder.x = {{ workers = [\"local\"], steps = [{{ name = \"x\", \
             script = \"echo up; until test -e {}; do sleep 0.02; done; exit 9\"{codes} }}] }}\n",
            gate.display()
        )
    };
    yard.configure(&builder(", exit_codes = { 9 = \"success\" }"));
    let master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_eq!(yard.changeport(&["submit", "x"]).out(), "x#1\n");
    wait_until("x#1 to run", || (yard.log_of("x#1") == b"up\n").then_some(()));
    master.kill();
    yard.configure(&builder(""));
    let _master = yard.start_master();
    fs::write(gate, "").expect("the yard is ours");
    assert_eq!(yard.changeport(&["wait", "x#1"]).code(), 0, "by the plan of before");
    assert_eq!(yard.results("x", 1), ["SUCCESS"]);
    assert_eq!(yard.changeport(&["run", "x"]).code(), 9, "by the plan of now");
}

#[test]
fn mistakes_about_results_are_told_with_their_places() {
    let yard = Yard::new(
        r#"
app.x = { builder = "x" }
[builder.x]
workers = ["local"]
steps = [
  { name = "a", script = "a", flunk_on_failur = false },
  { name = "b", script = "b", exit_codes = { 3 = "warning" } },
  { name = "c", script = "c", exit_codes = { 256 = "skipped" } },
  { name = "d", script = "d", halt_on_failure = "no" },
]
"#,
    );
    let checked = yard.master(&["check"]);
    assert_eq!(checked.code(), 78);
    for said in [
        "did you mean `flunk_on_failure`?",
        "did you mean `warnings`?",
        "`256` is not an exit code",
        "expected true or false",
    ] {
        assert!(checked.out().contains(said), "{said} in {}", checked.out());
    }
    yard.configure(
        r#"
app.x = { builder = "x" }
[builder.x]
workers = ["local"]
steps = [
  { name = "a", script = "a", warn_on_failure = true },
  { name = "b", script = "b", flunk_on_warnings = true },
  { name = "c", script = "c", warn_on_warnings = true, flunk_on_warnings = true, exit_codes = { 3 = "warnings" } },
]
"#,
    );
    let checked = yard.master(&["check"]);
    assert_eq!(checked.code(), 0, "warnings are no errors: {}", checked.out());
    assert_eq!(checked.out().matches("W0602").count(), 3, "{}", checked.out());
}

#[test]
fn how_a_program_ended_is_a_number_of_its_own_for_programs() {
    let yard = Yard::new(
        r#"
app.x = { builder = "x" }
[builder.x]
workers = ["local"]
steps = [
  { script = "exit 3", on_failure = "continue" },
  { script = "kill -SEGV $$", on_failure = "continue" },
  { script = "sleep 60", timeout = "10ms", on_failure = "continue" },
]
"#,
    );
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let ran = yard.changeport(&["run", "x"]);
    assert_eq!(ran.code(), 3, "{}", ran.err());
    let steps = yard.ask(&["builds", "x"]).remove(0)["steps"].take();
    let ends: Vec<_> = steps
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| json!([step["name"], step["detail"], step["exit_code"], step["signal"]]))
        .collect();
    let expected = [
        json!(["script", "exited(3)", 3, null]),
        json!(["script_1", "signal(11)", null, 11]),
        json!(["script_2", "timeout", null, null]),
    ];
    assert_eq!(ends, expected);
}
