//! A call lands where what it needs is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use e2e::{Daemon, Yard, wait_until};

/// A yard that knows two workers.
fn yard() -> Yard {
    let yard = Yard::new("");
    yard.draw_token("w2", "w2.token", "w2.hash");
    let read = |name| fs::read_to_string(yard.path(name)).expect("tokens were drawn");
    yard.write("tokens", &["tokens", "w2.hash"].map(read).concat());
    yard
}

/// Makes the program that tells which `numpy` there is on a worker's machine.
fn install(yard: &Yard, worker: &str, version: &str) {
    let path = yard.path(&format!("numpy-of-{worker}"));
    fs::write(&path, format!("#!/bin/sh\necho {version}\n")).expect("the yard is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the yard is ours");
}

fn start(yard: &Yard, worker: &str, token: &str) -> Daemon {
    let program = yard.path(&format!("numpy-of-{worker}")).display().to_string();
    yard.write(
        &format!("{worker}.toml"),
        &format!(
            "masters = [\"{}\"]\nname = \"{worker}\"\ntoken = {{ file = \"{token}\" }}\n\
             data = \"{worker}\"\nprobe.numpy = [\"{program}\"]\nprobe.shell = [\"sh\", \"-c\", \"echo 5\"]\n",
            yard.worker_address()
        ),
    );
    let mut daemon = yard.start_worker_of(&format!("{worker}.toml"));
    daemon.wait_for("attached");
    daemon
}

/// Has a worker run its probes now, until its status says what was found.
fn probe(yard: &Yard, worker: &str, found: &str) {
    let config = yard.path(&format!("{worker}.toml"));
    let ask = |verb: &str| {
        e2e::finish(yard.bare_worker_command().arg("--config").arg(&config).arg(verb)).out()
    };
    assert!(ask("probe").contains("the probes run now"));
    wait_until(&format!("probes to find {found}"), || ask("status").contains(found).then_some(()));
}

#[test]
fn a_call_that_needs_the_right_numpy_lands_where_it_is_and_waits_while_it_is_nowhere() {
    let yard = yard();
    yard.configure(
        r#"
worker.shown = { names = ["w2"], labels = ["x11"] }
app.sum = { builder = "sum" }
[builder.sum]
workers = ["local", "shown"]
require = 'worker.os == "linux" && worker.probe.numpy >= version("1.20")'
steps = [{ name = "sum", command = ["echo", "on ${worker.name}"] }]
"#,
    );
    let mut master = yard.start_master();
    install(&yard, "w1", "1.19.5");
    install(&yard, "w2", "1.26.4");
    let _w1 = start(&yard, "w1", "worker.token");
    let _w2 = start(&yard, "w2", "w2.token");
    let ran = yard.changeport(&["run", "sum"]);
    assert_eq!(ran.out(), "on w2\n", "{}", ran.err());
    fs::remove_file(yard.path("numpy-of-w2")).expect("it was installed");
    probe(&yard, "w2", "probes    shell 5\n");
    master.wait_for("probes={\"shell\": Int(5)}");
    assert_eq!(yard.changeport(&["submit", "sum"]).out(), "sum#2\n");
    let why = yard.master(&["why", "sum#2"]).out();
    let old = "worker w1: worker.probe.numpy >= version(\"1.20\") does not hold: \
               worker.probe.numpy is 1.19.5";
    let none = "worker w2: worker.probe.numpy >= version(\"1.20\") does not hold: \
                there is no `numpy` here";
    assert!(why.contains(old) && why.contains(none), "{why}");
    install(&yard, "w1", "2.1.0");
    probe(&yard, "w1", "numpy 2.1.0");
    assert_eq!(yard.changeport(&["wait", "sum#2"]).code(), 0);
    assert_eq!(yard.log_of("sum#2"), b"on w1\n");
}

#[test]
fn builds_share_what_a_worker_has_and_a_restart_of_the_master_knows_what_is_taken() {
    let yard = yard();
    let gate = yard.path("gate").display().to_string();
    yard.configure(&format!(
        r#"
worker.shown = {{ names = ["w2"], labels = ["x11"], resources = {{ gpus = 1 }} }}
app.draw = {{ builder = "draw" }}
[builder.draw]
workers = ["local", "shown"]
require = '"x11" in worker.labels'
resources = {{ gpus = 1 }}
steps = [{{ name = "draw", script = "until test -e {gate}; do sleep 0.02; done" }}]
"#
    ));
    let master = yard.start_master();
    let _w1 = start(&yard, "w1", "worker.token");
    let _w2 = start(&yard, "w2", "w2.token");
    for _ in 0..2 {
        assert_eq!(yard.changeport(&["submit", "draw"]).code(), 0);
    }
    master.kill();
    let mut master = yard.start_master();
    master.wait_for("worker w2 attached");
    wait_until("the reason", || {
        let why = yard.master(&["why", "draw#2"]).out();
        why.contains("worker w2: 0 of 1 gpus are free, and 1 are wanted").then_some(())
    });
    fs::write(yard.path("gate"), "").expect("the yard is ours");
    assert_eq!(yard.results("draw", 2), ["SUCCESS", "SUCCESS"]);
}

#[test]
fn mistakes_in_what_a_builder_requires_are_told_at_their_place() {
    let yard = Yard::new(
        r#"
[builder.a]
workers = ["local"]
require = 'worker.cpus >= 2 && worker.labls == []'
steps = [{ command = ["true"] }]
[builder.b]
workers = ["local"]
require = 'change.branch == "main"'
resources = { memory = 5, gpus = "two" }
placement = "best"
steps = [{ command = ["echo", "${worker.labels}"] }]
"#,
    );
    let checked = yard.master(&["check"]);
    assert_eq!(checked.code(), 78);
    let told = checked.out() + &checked.err();
    for part in [
        "did you mean `worker.labels`?",
        "`change` is not known before there is a worker",
        "expected a size",
        "`worker.labels` is for the `require` of a builder",
        "least_loaded",
        "6 errors",
    ] {
        assert!(told.contains(part), "{part} in:\n{told}");
    }
}
