//! Expressions of the configuration: checked when it is read, evaluated when a step begins.

use e2e::Yard;

#[test]
fn steps_run_where_their_conditions_hold_and_arguments_are_computed() {
    let yard = Yard::new(
        r#"
app.x = { builder = "x" }
[builder.x]
workers = ["local"]
steps = [
  { name = "probe", script = '''printf '{"python": "3.10.4", "tests": ["unit", "end to end"]}' > p.json''', set_properties = "p.json" },
  { name = "old", command = ["echo", "old"], when = 'version(prop.python) < version("3.10")' },
  { name = "new", command = ["echo", "new", "${build.builder + '-' + string(build.number)}"], when = 'version(prop.python) >= version("3.10") && worker.name.startsWith("w")' },
  { name = "test", command = ["printf", "<%s>", "${prop.tests.map(t, 'run ' + t)}", "${args}"], when = "size(prop.tests) > 1" },
  { name = "bad", command = ["true"], when = "prop.tests", on_failure = "warn" },
]
"#,
    );
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let ran = yard.changeport(&["run", "x", "--", "a  b", "$(id)"]);
    assert_eq!(ran.out(), "new x-1\n<run unit><run end to end><a  b><$(id)>");
    assert_eq!(ran.code(), 78);
    let said = "x: step bad did not start: its condition `prop.tests`: it is ";
    assert!(ran.err().contains("not true or false"), "{said}: {}", ran.err());
    let build = yard.ask(&["builds", "x"]).remove(0);
    let words: Vec<&str> = build["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| step["result"].as_str().expect("a word"))
        .collect();
    assert_eq!(words, ["SUCCESS", "SKIPPED", "SUCCESS", "SUCCESS", "EXCEPTION"]);
    let why = build["steps"][1]["detail"].as_str().expect("a sentence");
    assert_eq!(why, "its condition does not hold: version(prop.python) < version(\"3.10\")");
}

/// Nobody is attached, so nothing can run.
#[test]
fn a_builder_whose_condition_does_not_hold_is_skipped_without_a_worker() {
    let yard = Yard::new(
        r#"
app.x = { builder = "x" }
scheduler.push = { type = "any_branch", change_source = "launch", filter = { category = { not = "launch" } }, builders = ["x"] }
[builder.x]
workers = ["local"]
when = "change.branch == 'main'"
steps = [{ command = ["true"] }]
"#,
    );
    let master = yard.start_master();
    let why = "the condition of builder x does not hold: change.branch == 'main'";
    let ran = yard.changeport(&["run", "x"]);
    assert_eq!((ran.code(), ran.out().as_str()), (75, ""));
    assert!(ran.err().contains(why), "{}", ran.err());
    assert_eq!(yard.changeport(&["send", "--branch", "next"]).code(), 0);
    assert_eq!(yard.changeport(&["send", "--branch", "main"]).code(), 0);
    master.kill();
    let _master = yard.start_master();
    assert_eq!(yard.changeport(&["wait", "x#2"]).code(), 0, "there was nothing to do");
    let told = yard.master(&["why", "x#2"]).out();
    assert!(told.contains(&format!("ended: SKIPPED, {why}")), "{told}");
    let queue = yard.ask(&["queue"]);
    assert!(queue.len() == 1 && queue[0]["request"] == "x#3", "{queue:?}");
    assert!(yard.ask(&["builds"]).is_empty());
    yard.configure(
        "[builder.x]\nworkers = [\"local\"]\nwhen = \"worker.name == 'w1'\"\n\
         steps = [{ command = [\"true\"] }]\n",
    );
    let checked = yard.master(&["check"]);
    assert_eq!(checked.code(), 78);
    assert!(checked.out().contains("judged before there is one"), "{}", checked.out());
}

#[test]
fn mistakes_in_expressions_are_told_at_their_place() {
    let yard = Yard::new(
        r#"
app.x = { builder = "x" }
[builder.x]
workers = ["local"]
steps = [
  { name = "a", command = ["a", "${chnage.branch}"] },
  { name = "b", command = ["b"], when = 'change.branch.startWith("x")' },
  { name = "c", command = ["c"], when = 'build.number == "7"' },
  { name = "d", command = ["d"], when = "build.number" },
  { name = "e", command = ["e", "x${args.map(a, a)}"] },
  { name = "f", command = ["f"], when = 'version("latest") > version("1")' },
  { name = "g", command = ["g"], when = 'version(prop.v) > 3.10' },
]
"#,
    );
    let checked = yard.master(&["check"]);
    assert_eq!(checked.code(), 78);
    let out = checked.out();
    for said in [
        "^^^^^^ did you mean `change`?",
        "did you mean `startsWith`?",
        "`==` does not go with an integer and a text",
        "a condition is true or false, and this is an integer",
        "a list; it can only stand as a whole element",
        "this is no version",
        "did you mean `> version(\"3.10\")`?",
    ] {
        assert!(out.contains(said), "{said} in {out}");
    }
    assert!(out.contains("7 errors"), "{out}");
}
