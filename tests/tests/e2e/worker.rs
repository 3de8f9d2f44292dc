//! What a worker does for its commands: which master, which environment, which end.

use std::fs;

use e2e::{Port, Yard, wait_until};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

const ONE: &str = r#"
app.env = { builder = "env" }
[builder.env]
workers = ["local"]
steps = [{ name = "env", command = ["env"], env = { OF_STEP = "step" } }]
"#;

#[test]
fn a_worker_passes_over_a_dead_address_and_follows_its_master_to_another() {
    let mut yard = Yard::new(ONE);
    let master = yard.start_master();
    let (dead, next) = (Port::reserve(), Port::reserve());
    let addresses = [dead.address(), yard.worker_address(), next.address()];
    yard.configure_worker_of(&addresses, "");
    let mut worker = yard.start_configured_worker();
    worker.wait_for(dead.address());
    assert_eq!(yard.changeport(&["run", "env"]).code(), 0);
    let status = yard.worker(&["status"]).out();
    assert!(status.contains(&format!("attached to yard ({})", yard.worker_address())), "{status}");
    master.kill();
    yard.move_to(next);
    let mut master = yard.start_master();
    master.wait_for("worker w1 attached");
    assert_eq!(yard.changeport(&["run", "env"]).code(), 0);
    let status = yard.worker(&["status"]).out();
    assert!(status.contains(yard.worker_address()), "{status}");
}

#[test]
fn a_command_gets_its_own_environment_and_nothing_of_the_daemons() {
    let yard = Yard::new(ONE);
    let _master = yard.start_master();
    yard.configure_worker("env = { OF_WORKER = \"worker\", PATH = \"/usr/bin:/bin\" }\n");
    let mut worker = yard.start_unattached_worker(|command| {
        command.env("SECRET_OF_DAEMON", "value of the secret").env("HOME", "/home/of/daemon");
        command.env_remove("USER").env_remove("LOGNAME");
    });
    worker.wait_for("attached");
    let env = yard.changeport(&["run", "env"]).out();
    let mut lines: Vec<&str> =
        env.lines().filter(|line| !line.starts_with("YARDMASTER_COMMAND=")).collect();
    lines.sort_unstable();
    let expected = [
        "HOME=/home/of/daemon",
        "LANG=C.UTF-8",
        "OF_STEP=step",
        "OF_WORKER=worker",
        "PATH=/usr/bin:/bin",
        "YARDMASTER_BUILDER=env",
    ];
    assert_eq!(lines, expected);
    let line = worker.wait_for("started a command");
    let names = "variables=HOME LANG OF_STEP OF_WORKER PATH YARDMASTER_BUILDER YARDMASTER_COMMAND";
    assert!(line.contains(names), "{line}");
    let log = worker.log();
    assert!(!log.contains("value of the secret") && !log.contains("=step"), "{log}");
}

/// Children of all sorts: in the background, in a session of its own, without a parent, deaf.
const TREE: &str = "\
sleep 1000 & echo $!
setsid sleep 1000 & echo $!
(setsid sh -c 'echo $$; exec sleep 1000' &)
sh -c 'trap \"\" TERM HUP INT; echo $$; while :; do sleep 1000; done' &
echo $$
echo up >&2
wait
";

fn assert_tree_ended(yard: &Yard, build: &str) {
    let log = String::from_utf8_lossy(&yard.log_of(build)).into_owned();
    let pids: Vec<Pid> =
        log.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw).collect();
    assert_eq!(pids.len(), 5, "{log}");
    for pid in pids {
        wait_until("the end of the tree", || test_kill_process(pid).is_err().then_some(()));
    }
}

#[test]
fn a_time_limit_ends_the_whole_tree() {
    let yard = Yard::new("");
    yard.configure(&format!(
        r#"
app.whole = {{ builder = "whole" }}
app.silent = {{ builder = "silent" }}
app.chatty = {{ builder = "chatty" }}
[builder.whole]
workers = ["local"]
steps = [{{ name = "tree", timeout = "500ms", script = '''
{TREE}''' }}]
[builder.silent]
workers = ["local"]
steps = [{{ name = "tree", silence_timeout = "500ms", script = '''
{TREE}''' }}]
[builder.chatty]
workers = ["local"]
steps = [{{ name = "chat", silence_timeout = "2s", script = "for i in 1 2 3 4 5; do sleep 0.5; echo $i; done" }}]
"#
    ));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let chatty = yard.start_changeport(&["run", "chatty"]);
    for app in ["whole", "silent"] {
        let client = yard.changeport(&["run", app]);
        assert_eq!(client.code(), 124, "{app}: {}", client.err());
        let err = client.err();
        assert!(err.starts_with("up\n") && err.contains("taking too long"), "{err}");
        assert!(
            err.ends_with(&format!("{app}: step tree took longer than its time limit\n")),
            "{err}"
        );
        assert_tree_ended(&yard, &format!("{app}#1"));
        assert_eq!(yard.results(app, 1), ["FAILURE"]);
    }
    let chatty = chatty.finish();
    assert_eq!((chatty.code(), chatty.out().as_str()), (0, "1\n2\n3\n4\n5\n"), "{}", chatty.err());
}

/// Returns result, exit code and the results of the steps of an app's first build.
fn outcome(yard: &Yard, app: &str) -> (String, i32, Vec<String>) {
    let code = yard.changeport(&["run", app]).code();
    let result = yard.results(app, 1).remove(0);
    let build = yard.ask(&["builds", app]).remove(0);
    let steps = build["steps"].as_array().expect("a build has steps").iter();
    (result, code, steps.map(|step| step["result"].as_str().unwrap_or_default().into()).collect())
}

#[test]
fn what_follows_a_failure_is_for_the_step_to_say() {
    let step = |name: &str, code: i32, more: &str| {
        format!("{{ name = \"{name}\", script = \"exit {code}\"{more} }}")
    };
    let builder = |name: &str, steps: &[String]| {
        let steps = steps.join(", ");
        format!(
            "app.{name} = {{ builder = \"{name}\" }}\n\
             builder.{name} = {{ workers = [\"local\"], steps = [{steps}] }}\n"
        )
    };
    let always = ", always_run = true";
    let next = || step("next", 0, "");
    let builders = [
        builder("halt", &[step("a", 3, ""), next(), step("clean", 0, always)]),
        builder("goes-on", &[step("a", 3, ", on_failure = \"continue\""), next()]),
        builder("warn", &[step("a", 3, ", on_failure = \"warn\""), next()]),
        builder("worse", &[step("a", 3, ""), next(), step("clean", 4, always)]),
        builder("late", &[step("a", 0, ""), next(), step("clean", 4, always)]),
    ];
    let yard = Yard::new(&builders.concat());
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    for (app, result, code, steps) in [
        ("halt", "FAILURE", 3, &["FAILURE", "SKIPPED", "SUCCESS"][..]),
        ("goes-on", "FAILURE", 3, &["FAILURE", "SUCCESS"]),
        ("warn", "WARNINGS", 0, &["FAILURE", "SUCCESS"]),
        ("worse", "FAILURE", 3, &["FAILURE", "SKIPPED", "FAILURE"]),
        ("late", "FAILURE", 4, &["SUCCESS", "SUCCESS", "FAILURE"]),
    ] {
        let steps: Vec<String> = steps.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(outcome(&yard, app), (result.to_owned(), code, steps), "{app}");
    }
}

#[test]
fn a_step_that_always_runs_also_runs_after_a_stop() {
    let yard = Yard::new("");
    let cleaned = yard.path("cleaned");
    yard.configure(&format!(
        r#"
app.long = {{ builder = "long" }}
[builder.long]
workers = ["local"]
steps = [
  {{ name = "long", script = "echo up; exec sleep 1000" }},
  {{ name = "next", script = "true" }},
  {{ name = "clean", script = "echo done > {}", always_run = true }},
]
"#,
        cleaned.display()
    ));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_eq!(yard.changeport(&["submit", "long"]).out(), "long#1\n");
    wait_until("the long step", || (yard.log_of("long#1") == b"up\n").then_some(()));
    assert_eq!(yard.master(&["stop", "long#1"]).code(), 0);
    assert_eq!(yard.results("long", 1), ["CANCELLED"]);
    assert_eq!(fs::read_to_string(cleaned).expect("it was cleaned"), "done\n");
}

/// Kills the supervisor of the command that runs, and waits until it is another's turn.
fn lose_command(yard: &Yard) {
    let (shim, command) = wait_until("a command with its supervisor", || {
        // A new supervisor is there before its command has begun.
        let (shim, command) = yard.shims().pop()?;
        let log = fs::read(yard.path("worker/spool").join(&command).join("out.000"));
        log.is_ok_and(|log| log.windows(3).any(|word| word == b"up\n")).then_some((shim, command))
    });
    kill_process(shim, Signal::KILL).expect("the yard is ours");
    wait_until("the worker to see it", || {
        yard.shims().iter().all(|(_, other)| *other != command).then_some(())
    });
}

#[test]
fn a_lost_command_runs_again_only_where_that_is_safe() {
    let yard = Yard::new("");
    let gate = yard.path("gate").display().to_string();
    let witness = yard.witnesses().script();
    let builder = |name: &str, more: &str| {
        format!(
            "[app.{name}]\nbuilder = \"{name}\"\n[builder.{name}]\nworkers = [\"local\"]\n\
             steps = [{{ name = \"step\", {more}script = '''\n{witness}echo up\n\
             until test -e {gate}; do sleep 0.02; done\n''' }}]\n"
        )
    };
    yard.configure(&(builder("unsafe", "") + &builder("safe", "retry_safe = true, ")));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let lost = yard.start_changeport(&["run", "unsafe"]);
    lose_command(&yard);
    assert_eq!(lost.finish().code(), 74);
    assert_eq!(yard.results("unsafe", 1), ["EXCEPTION"]);
    assert_eq!(yard.witnesses().ran().len(), 1);
    let hopeless = yard.start_changeport(&["run", "safe"]);
    for _attempt in 0..3 {
        lose_command(&yard);
    }
    assert_eq!(hopeless.finish().code(), 74);
    assert_eq!(yard.results("safe", 1), ["EXCEPTION"]);
    assert_eq!(yard.witnesses().ran().len(), 4, "three attempts and no more");
    let repeated = yard.start_changeport(&["run", "safe"]);
    lose_command(&yard);
    fs::write(&gate, "").expect("the yard is ours");
    let repeated = repeated.finish();
    assert_eq!(repeated.code(), 0, "{}", repeated.err());
    assert_eq!(repeated.out(), "up\nup\n");
    assert_eq!(yard.results("safe", 2), ["EXCEPTION", "SUCCESS"]);
    assert_eq!(yard.witnesses().ran().len(), 6);
}

#[test]
fn a_stopped_worker_leaves_its_commands_running_unless_told_to_kill_them() {
    let yard = Yard::new("");
    yard.configure(&format!(
        r#"
app.gate = {{ builder = "gate" }}
[builder.gate]
workers = ["local"]
steps = [{{ name = "gate", script = "echo up; until test -e {}; do sleep 0.02; done; echo through" }}]
"#,
        yard.path("gate").display()
    ));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let client = yard.start_changeport(&["run", "gate"]);
    wait_until("the command", || {
        yard.master(&["logs", "gate#1"]).out().contains("up").then_some(())
    });
    let stopped = yard.worker(&["stop"]);
    assert_eq!(stopped.out(), "stopped; 1 commands keep running\n", "{}", stopped.err());
    assert_eq!(yard.worker(&["status"]).code(), 69);
    let status = yard.changeport(&["status", "gate#1"]).out();
    assert_eq!(status, "gate#1 is running, on w1 (not connected at the moment), step gate\n");
    fs::write(yard.path("gate"), "").expect("the yard is ours");
    let _worker = yard.start_worker("");
    let finished = client.finish();
    assert_eq!((finished.code(), finished.out().as_str()), (0, "up\nthrough\n"));
    fs::remove_file(yard.path("gate")).expect("the yard is ours");
    let client = yard.start_changeport(&["run", "gate"]);
    wait_until("the command", || {
        yard.master(&["logs", "gate#2"]).out().contains("up").then_some(())
    });
    let stopped = yard.worker(&["stop", "--kill"]);
    assert_eq!(stopped.out(), "stopped; 1 commands were ended\n", "{}", stopped.err());
    let _worker = yard.start_worker("");
    let finished = client.finish();
    assert_eq!(finished.out(), "up\n");
    assert_eq!(finished.code(), 143, "{}", finished.err());
}

#[test]
fn a_program_that_is_not_there_is_126_with_the_reason() {
    let yard = Yard::new(
        r#"
app.none = { builder = "none" }
[builder.none]
workers = ["local"]
steps = [{ name = "none", command = ["no-such-program", "x"] }]
"#,
    );
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let finished = yard.changeport(&["run", "none"]);
    assert_eq!(finished.code(), 126, "{}", finished.err());
    assert!(finished.err().contains("no-such-program"), "{}", finished.err());
    assert_eq!(finished.err().lines().count(), 1, "{}", finished.err());
}

#[test]
fn a_long_connection_does_not_keep_the_logs_of_its_commands_open() {
    let yard = Yard::new(ONE);
    let master = yard.start_master();
    let _worker = yard.start_worker("");
    for _ in 0..20 {
        assert_eq!(yard.changeport(&["run", "env"]).code(), 0);
    }
    let folder = format!("/proc/{}/fd", master.pid().as_raw_nonzero());
    wait_until("an end of all logs", || {
        let files = fs::read_dir(&folder).expect("the master runs").flatten();
        let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
        let logs = targets.filter(|target| target.to_string_lossy().contains("/master/logs/"));
        (logs.count() == 0).then_some(())
    });
}
