//! Properties: where they come from, how steps set them, and that no kill takes them.

use std::fs;

use e2e::{Yard, wait_until};
use rustix::process::{Signal, kill_process};

const BUILDERS: &str = r#"
properties.site = "yard"
app.split = { builder = "split", properties = { level = 3 } }
[builder.split]
workers = ["local"]
default_properties = { level = 1, colour = "red" }
steps = [
  { name = "split", script = 'echo "{\"parts\": [\"a b\", \"c\"], \"count\": 2, \"nested\": {\"x\": [1.5, null, true]}}" > out.json', set_properties = "out.json" },
  { name = "show", command = ["printf", "<%s>", "${prop.parts}", "${prop.count}", "${prop.level}", "${prop.colour}", "${prop.site}"] },
]
"#;

/// Returns a property of a request as `changeport status --json` shows it: value and source.
fn property(yard: &Yard, request: &str, name: &str) -> (serde_json::Value, String) {
    let status = yard.changeport(&["status", request, "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("it is JSON");
    let one = &status["properties"][name];
    (one["value"].clone(), one["source"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_step_sets_properties_that_later_steps_and_people_see_with_their_source() {
    let yard = Yard::new(BUILDERS);
    let master = yard.start_master();
    let _worker = yard.start_worker("");
    let ran = yard.changeport(&["run", "split"]);
    assert_eq!(ran.out(), "<a b><c><2><3><red><yard>", "{}", ran.err());
    let look = |yard: &Yard| {
        let (value, source) = property(yard, "split#1", "parts");
        assert_eq!((value, source.as_str()), (serde_json::json!(["a b", "c"]), "step split"));
        let (value, _) = property(yard, "split#1", "nested");
        assert_eq!(value, serde_json::json!({ "x": [1.5, null, true] }));
        assert_eq!(property(yard, "split#1", "level"), (3.into(), "app split".to_owned()));
        assert_eq!(property(yard, "split#1", "owner").1, "caller");
        let text = yard.changeport(&["status", "split#1"]).out();
        assert!(text.contains("\n  colour = \"red\"  (default)\n"), "{text}");
        assert!(text.contains("\n  count = 2  (step split)\n"), "{text}");
        assert!(!text.contains("buildername"), "facts that everybody knows: {text}");
    };
    look(&yard);
    master.kill();
    let _master = yard.start_master();
    look(&yard);
}

#[test]
fn a_change_cannot_say_who_sent_it() {
    let yard = Yard::new(
        r#"
scheduler.push = { type = "any_branch", change_source = "launch", builders = ["who"] }
[builder.who]
workers = ["local"]
steps = [{ name = "who", command = ["echo", "${prop.owner}", "${prop.level}"] }]
"#,
    );
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let sent = yard.changeport(&["send", "--property", "owner=root", "--property", "level=a:b"]);
    assert_eq!(sent.code(), 0, "{}", sent.err());
    assert_eq!(yard.results("who", 1), ["SUCCESS"]);
    let log = String::from_utf8(yard.log_of("who#1")).expect("it is text");
    assert!(log.starts_with("unix:") && log.ends_with(" a:b\n"), "{log}");
}

#[test]
fn properties_that_are_none_are_the_exception_of_their_step() {
    let yard = Yard::new(
        r#"
app.none = { builder = "none" }
app.huge = { builder = "huge" }
app.user = { builder = "user" }
[builder.none]
workers = ["local"]
steps = [{ name = "a", script = "echo '{\"x\": 1}'", set_properties = "a.json" }]
[builder.huge]
workers = ["local"]
steps = [{ name = "a", script = "head -c 65537 /dev/zero > a.json", set_properties = "a.json" }]
[builder.user]
workers = ["local"]
steps = [{ name = "a", script = "echo '{\"user\": \"root\"}' > a.json", set_properties = "a.json" }]
"#,
    );
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    for (app, why) in [
        ("none", "step a left no properties: it wrote no `a.json`"),
        (
            "huge",
            "step a left no properties: `a.json` cannot be read: it is longer than 65536 bytes",
        ),
        ("user", "`user` is who called"),
    ] {
        let ran = yard.changeport(&["run", app]);
        assert_eq!(ran.code(), 78, "{app}");
        assert!(ran.err().contains(why), "{}", ran.err());
        assert_eq!(yard.results(app, 1), ["EXCEPTION"]);
    }
}

/// A step that has written its properties and waits before it ends, and one that shows them.
fn waiting(yard: &Yard) -> String {
    let gate = yard.path("gate").display().to_string();
    format!(
        r#"
app.x = {{ builder = "x" }}
[builder.x]
workers = ["local"]
steps = [
  {{ name = "set", script = 'echo "{{\"n\": 7}}" > n.json; echo up; until test -e {gate}; do sleep 0.02; done', set_properties = "n.json", on_failure = "continue" }},
  {{ name = "show", command = ["echo", "n is ${{prop.n}}"], always_run = true }},
]
"#
    )
}

fn wait_until_up(yard: &Yard) {
    wait_until("the step to run", || (yard.log_of("x#1") == b"up\n").then_some(()));
}

#[test]
fn no_kill_of_a_daemon_takes_what_a_step_left() {
    let yard = Yard::new("");
    yard.configure(&waiting(&yard));
    let master = yard.start_master();
    let worker = yard.start_worker("");
    assert_eq!(yard.changeport(&["submit", "x"]).out(), "x#1\n");
    wait_until_up(&yard);
    // Both are gone when the command ends: its supervisor alone takes what it left.
    worker.kill();
    master.kill();
    fs::write(yard.path("gate"), "").expect("the yard is ours");
    wait_until("the supervisor to end", || yard.shims().is_empty().then_some(()));
    let worker = yard.start_unattached_worker(|_command| {});
    worker.kill();
    let _worker = yard.start_unattached_worker(|_command| {});
    let _master = yard.start_master();
    let waited = yard.changeport(&["wait", "x#1"]);
    assert_eq!(waited.code(), 0, "{}", waited.err());
    assert_eq!(yard.log_of("x#1"), b"up\nn is 7\n");
    assert_eq!(property(&yard, "x#1", "n"), (7.into(), "step set".to_owned()));
}

#[test]
fn a_step_whose_supervisor_is_killed_sets_nothing() {
    let yard = Yard::new("");
    yard.configure(&waiting(&yard));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_eq!(yard.changeport(&["submit", "x"]).out(), "x#1\n");
    wait_until_up(&yard);
    let [(shim, _)] = yard.shims()[..] else { panic!("one supervisor") };
    kill_process(shim, Signal::KILL).expect("it is ours");
    assert_eq!(yard.changeport(&["wait", "x#1"]).code(), 74);
    let build = yard.ask(&["builds", "x"]).remove(0);
    let why = "there is no `prop.n` here";
    assert_eq!(build["steps"][1]["detail"], why, "half a truth is none: {build}");
}
