//! The real daemon with real supervisors, against a master of few words.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use proto::limits;
use proto::message::command::{Attach, Ending, LeftProperties, Phase, Program, Start};
use proto::message::hello::{Ping, Pong, Role, Welcome};
use proto::record::Channel;
use proto::{Bytes, encode, feature};
use rustix::process::{Pid, Signal, kill_process};

use support::{
    Rig, eventually, is_alive, long_output, long_script, master_welcome, pid_in, refusal, start,
    text,
};

#[test]
fn a_command_runs_and_its_output_and_end_come_home() {
    let rig = Rig::new();
    let (_daemon, mut session) = rig.attach(1);
    let order = start(&session, Program::Exec, &["sh", "-c", "echo hello; echo oops >&2; exit 3"]);
    let command = session.send_start(&order);
    let end = session.end(command);
    assert_eq!((end.ending, end.code), (Ending::Exited, 3));
    assert_eq!(session.output(command, Channel::Out), "hello\n");
    assert_eq!(session.output(command, Channel::Err), "oops\n");
    assert_eq!(session.reports.last().unwrap().phase, Phase::Ended);
    assert!(rig.spool_entry(command).exists());
    session.send_final_ack(command);
    eventually("the spool entry is gone", || !rig.spool_entry(command).exists());
}

#[test]
fn a_worker_says_who_it_is_and_what_its_machine_has() {
    let rig = Rig::new();
    let _daemon = rig.start();
    let (mut connection, hello) = rig.master.accept();
    assert_eq!(hello.role, Role::Worker);
    assert_eq!(hello.token.unwrap().as_ref(), b"secret");
    connection.send(&master_welcome(1, 1));
    let attach: Attach = connection.receive();
    assert_eq!(attach.max_builds, 4);
    assert_eq!(attach.spool_id.len(), 32);
    assert!(!attach.boot_id.is_empty() && !attach.facts.hostname.is_empty());
    assert_eq!(attach.commands, []);
}

#[test]
fn a_command_survives_kill_9_of_the_daemon_and_its_log_is_exact() {
    let rig = Rig::new();
    let (daemon, mut session) = rig.attach(1);
    let order = start(&session, Program::Script, &[&long_script(&rig)]);
    let command = session.send_start(&order);
    session.until("some output comes", |s| s.logs.get(&command).is_some_and(|l| l.len() > 500));
    let logs = session.logs.clone();
    daemon.kill();
    let daemon = rig.start();
    let mut session = rig.master.welcome(1, 2);
    let reported: Vec<_> = session.attach.commands.iter().map(|r| (r.command, r.phase)).collect();
    assert_eq!(reported, [(command, Phase::Running)]);
    session.place(logs);
    fs::write(rig.path("gate"), "").unwrap();
    let end = session.end(command);
    assert_eq!((end.ending, end.code), (Ending::Exited, 0));
    assert_eq!(session.output(command, Channel::Out), long_output());
    assert_eq!(session.output(command, Channel::Err), "oops\n");
    assert_eq!(session.logs[&command].len() as u64, end.log_bytes);
    assert_eq!(fs::read_to_string(rig.path("witness")).unwrap().lines().count(), 1);
    drop(daemon);
}

#[test]
fn what_a_command_left_is_told_with_its_end_and_before_every_attach() {
    let rig = Rig::new();
    let (daemon, mut session) = rig.attach(1);
    let script = "echo '{\"a\": 1}' > a.json";
    let order = Start {
        properties_file: Some("a.json".into()),
        ..start(&session, Program::Script, &[script])
    };
    let command = session.send_start(&order);
    let end = session.end(command);
    let text = Bytes(b"{\"a\": 1}\n".to_vec());
    assert_eq!((end.properties, end.no_properties), (Some(text.clone()), None));
    drop(session);
    for features in [0, feature::LEFT_PROPERTIES] {
        let (mut connection, _) = rig.master.accept();
        connection.send(&Welcome { features, ..master_welcome(1, 2) });
        if features != 0 {
            let left: LeftProperties = connection.receive();
            assert_eq!(left, LeftProperties { command, properties: text.clone() });
        }
        let attach: Attach = connection.receive();
        let end = attach.commands[0].end.as_ref().unwrap();
        assert_eq!((attach.commands[0].command, &end.properties), (command, &None));
    }
    daemon.kill();
    let _daemon = rig.start();
    let (mut connection, _) = rig.master.accept();
    let features = feature::LEFT_PROPERTIES;
    connection.send(&Welcome { features, ..master_welcome(1, 4) });
    assert_eq!(connection.receive::<LeftProperties>().properties, text, "read from the spool");
}

#[test]
fn a_command_that_ends_while_no_daemon_is_there_is_reported_by_the_next() {
    let rig = Rig::new();
    let (daemon, mut session) = rig.attach(1);
    let order = start(&session, Program::Script, &[&format!("{}; exit 7", long_script(&rig))]);
    let command = session.send_start(&order);
    session.until("the command runs", |s| s.phase(command) == Some(Phase::Running));
    daemon.kill();
    fs::write(rig.path("gate"), "").unwrap();
    eventually("the command has ended", || rig.spool_entry(command).join("exit").exists());
    let (_daemon, mut session) = rig.attach(2);
    session.reports = session.attach.commands.clone();
    assert_eq!(session.end(command).code, 7);
    assert_eq!(session.output(command, Channel::Out), long_output());
}

#[test]
fn a_connection_that_breaks_costs_nothing() {
    let rig = Rig::new();
    let (_daemon, mut session) = rig.attach(1);
    let order = start(&session, Program::Script, &[&long_script(&rig)]);
    let command = session.send_start(&order);
    session.until("some output comes", |s| s.logs.get(&command).is_some_and(|l| !l.is_empty()));
    let logs = session.logs.clone();
    drop(session);
    let mut session = rig.master.welcome(1, 2);
    session.place(logs);
    fs::write(rig.path("gate"), "").unwrap();
    session.end(command);
    assert_eq!(session.output(command, Channel::Out), long_output());
}

#[test]
fn a_command_whose_supervisor_is_killed_is_lost_and_its_tree_is_gone() {
    let rig = Rig::new();
    let (_daemon, mut session) = rig.attach(1);
    let script = format!(
        "setsid sleep 1000 & echo $! > {}; echo began; sleep 1000",
        rig.path("pid").display()
    );
    let order = start(&session, Program::Script, &[&script]);
    let command = session.send_start(&order);
    session.until("it says something", |s| s.output(command, Channel::Out) == "began\n");
    let straggler = pid_in(&rig.path("pid"));
    let started = fs::read_to_string(rig.spool_entry(command).join("started")).unwrap();
    let child: i32 = started.split(' ').next().unwrap().parse().unwrap();
    let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
    let supervisor: i32 =
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    kill_process(Pid::from_raw(supervisor).unwrap(), Signal::KILL).unwrap();
    let end = session.end(command);
    assert_eq!((end.ending, end.reason.as_str()), (Ending::Lost, "supervisor"));
    assert!(!is_alive(straggler) && !is_alive(child));
}

#[test]
fn a_stop_signals_first_and_the_command_may_clean_up() {
    let rig = Rig::new();
    let (_daemon, mut session) = rig.attach(1);
    let script = "trap 'echo cleaned; exit 9' TERM; echo ready; while :; do sleep 0.01; done";
    let order = start(&session, Program::Script, &[script]);
    let command = session.send_start(&order);
    session.until("it is ready", |s| s.output(command, Channel::Out) == "ready\n");
    session.send_stop(command, 15, 20_000);
    let end = session.end(command);
    assert_eq!((end.ending, end.code), (Ending::Exited, 9));
    assert_eq!(session.output(command, Channel::Out), "ready\ncleaned\n");
}

#[test]
fn a_start_that_comes_twice_runs_once() {
    let rig = Rig::new();
    let (_daemon, mut session) = rig.attach(1);
    let script = format!("echo x >> {}", rig.path("witness").display());
    let order = start(&session, Program::Script, &[&script]);
    for _ in 0..3 {
        session.send_start(&order);
    }
    session.end(order.command);
    session.send_final_ack(order.command);
    session.send_start(&order);
    let other = session.send_start(&start(&session, Program::Exec, &["true"]));
    session.end(other);
    assert_eq!(fs::read_to_string(rig.path("witness")).unwrap(), "x\n");
}

#[test]
fn a_command_that_provably_never_ran_is_forgotten_and_may_be_sent_again() {
    let rig = Rig::new();
    let (daemon, session) = rig.attach(1);
    let mut order = start(&session, Program::Exec, &["echo", "once"]);
    daemon.kill();
    fs::create_dir(rig.spool_entry(order.command)).unwrap();
    fs::write(rig.spool_entry(order.command).join("lock"), "").unwrap();
    let (_daemon, mut session) = rig.attach(2);
    assert_eq!(session.attach.commands, []);
    order.session = 2;
    session.send_start(&order);
    assert_eq!(session.end(order.command).ending, Ending::Exited);
    assert_eq!(session.output(order.command, Channel::Out), "once\n");
}

#[test]
fn a_command_that_may_have_run_is_lost_and_does_not_run_again() {
    let rig = Rig::new();
    let (daemon, session) = rig.attach(1);
    let mut order = start(&session, Program::Exec, &["touch", rig.path("x").to_str().unwrap()]);
    daemon.kill();
    let entry = rig.spool_entry(order.command);
    fs::create_dir(&entry).unwrap();
    for (file, text) in [("lock", ""), ("spec", "torn"), ("intent", "x"), ("started", "")] {
        fs::write(entry.join(file), text).unwrap();
    }
    let (_daemon, mut session) = rig.attach(2);
    session.reports = session.attach.commands.clone();
    let end = session.end(order.command);
    assert_eq!((end.ending, end.reason.as_str()), (Ending::Lost, "supervisor"));
    order.session = 2;
    session.send_start(&order);
    let other = start(&session, Program::Exec, &["true"]);
    session.send_start(&other);
    session.end(other.command);
    assert!(!rig.path("x").exists());
}

#[test]
fn spawners_that_are_killed_are_replaced_and_no_command_is_lost_by_it() {
    let rig = Rig::new();
    let (daemon, mut session) = rig.attach(1);
    assert_eq!(daemon.children().len(), 2);
    for pid in daemon.children() {
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        eventually("the spawner is gone", || !is_alive(pid));
    }
    for _ in 0..3 {
        let order = start(&session, Program::Exec, &["echo", "hi"]);
        session.send_start(&order);
        assert_eq!(session.end(order.command).ending, Ending::Exited);
    }
}

#[test]
fn an_order_that_cannot_be_carried_out_is_an_end_with_a_reason() {
    let rig = Rig::new();
    let (_daemon, mut session) = rig.attach(1);
    let mut outside = start(&session, Program::Exec, &["true"]);
    outside.workdir = "../../x".into();
    session.send_start(&outside);
    let end = session.end(outside.command);
    assert_eq!(end.ending, Ending::NotStarted);
    assert_eq!(end.reason, "work in `../../x`: a workdir is relative and has no `..`");
    let missing = start(&session, Program::Exec, &["/no/such/program"]);
    session.send_start(&missing);
    let end = session.end(missing.command);
    assert_eq!(end.ending, Ending::NotStarted);
    assert!(end.reason.contains("/no/such/program"), "{}", end.reason);
}

#[test]
fn a_command_sees_nothing_of_the_environment_of_the_daemon() {
    let rig = Rig::new();
    rig.configure("env = { FROM_ADMIN = \"yes\" }\n");
    let (_daemon, mut session) = rig.attach(1);
    let order = start(&session, Program::Exec, &["env"]);
    session.send_start(&order);
    session.end(order.command);
    let output = session.output(order.command, Channel::Out);
    let mut names: Vec<_> = output.lines().filter_map(|l| l.split('=').next()).collect();
    names.retain(|name| !["HOME", "LOGNAME", "USER"].contains(name));
    assert_eq!(names, ["FROM_ADMIN", "LANG", "PATH", "YARDMASTER_BUILDER", "YARDMASTER_COMMAND"]);
    assert!(rig.log().contains("FROM_ADMIN") && !rig.log().contains("yes"));
}

#[test]
fn output_stays_within_its_credit_and_holds_up_nobody() {
    let rig = Rig::new();
    let (_daemon, mut session) = rig.attach(1);
    session.gives_credit = false;
    let flood = start(&session, Program::Script, &["head -c 3000000 /dev/zero | tr '\\0' x"]);
    session.send_start(&flood);
    session.until("the flood has ended", |s| s.phase(flood.command) == Some(Phase::Ended));
    let moment = Duration::from_millis(200);
    while !session.connection.is_silent_for(moment) {
        session.step();
    }
    let sent = session.logs[&flood.command].len() as u64;
    assert!(sent <= limits::STREAM_CREDIT_BYTES, "{sent}");
    assert!(sent > limits::STREAM_CREDIT_BYTES / 2, "{sent}");
    session.connection.send(&Ping { nonce: 5 });
    let pong: Pong = session.connection.receive();
    assert_eq!(pong.nonce, 5);
    session.gives_credit = true;
    let quiet = start(&session, Program::Exec, &["echo", "hi"]);
    session.send_start(&quiet);
    session.end(quiet.command);
    assert_eq!(session.output(quiet.command, Channel::Out), "hi\n");
    session.credit(1, sent);
    session.end(flood.command);
    assert_eq!(session.output(flood.command, Channel::Out), "x".repeat(3_000_000));
}

#[test]
fn bad_frames_end_the_connection_and_not_the_worker() {
    let rig = Rig::new();
    let _daemon = rig.start();
    let oversized = [0xff; 16];
    let unknown = [&[0, 0, 0, 3, 0xee, 0xee, 1][..]].concat();
    let mut deep = encode(&Ping { nonce: 1 }).unwrap();
    deep.truncate(7);
    deep.extend([0x91; 100]);
    deep[..4].copy_from_slice(&103u32.to_be_bytes());
    for (session, bad) in [&oversized[..], &unknown, &deep, b"HTTP/1.1 400 Bad Request\r\n\r\n"]
        .into_iter()
        .enumerate()
    {
        let mut session = rig.master.attach(1, i64::try_from(session).unwrap() + 1);
        session.connection.send_raw(bad);
        session.until_gone();
    }
    let mut session = rig.master.attach(1, 99);
    let order = start(&session, Program::Exec, &["echo", "alive"]);
    session.send_start(&order);
    session.end(order.command);
    assert!(!rig.log().contains("panicked"), "{}", rig.log());
}

#[test]
fn a_master_older_than_one_that_was_here_is_left_even_after_a_restart() {
    let rig = Rig::new();
    let daemon = rig.start();
    drop(rig.master.attach(7, 1));
    daemon.kill();
    let _daemon = rig.start();
    let (mut connection, _) = rig.master.accept();
    connection.send(&master_welcome(6, 2));
    assert_eq!(connection.frame(), None);
    rig.master.attach(7, 3);
    assert!(rig.log().contains("a later master of epoch 7 was here"), "{}", rig.log());
}

#[test]
fn orders_of_an_older_connection_are_not_carried_out() {
    let rig = Rig::new();
    let (_daemon, session) = rig.attach(1);
    let old = start(&session, Program::Exec, &["touch", rig.path("canary").to_str().unwrap()]);
    drop(session);
    let mut session = rig.master.attach(1, 2);
    session.send_start(&old);
    let new = start(&session, Program::Exec, &["true"]);
    session.send_start(&new);
    session.end(new.command);
    assert!(!rig.path("canary").exists());
}

#[test]
fn a_refusal_is_one_line_with_what_to_do() {
    let rig = Rig::new();
    let _daemon = rig.start();
    let (mut connection, _) = rig.master.accept();
    connection.send(&refusal());
    assert_eq!(connection.frame(), None);
    let lines = || rig.log().lines().filter(|l| l.contains("refused")).count();
    eventually("the refusal is logged", || lines() == 1);
    assert!(rig.log().contains("refused: the token is not known; ask for another"));
}

#[test]
fn a_signal_ends_the_daemon_at_once_and_commands_go_on() {
    let rig = Rig::new();
    for (round, signal) in [(1, Signal::TERM), (2, Signal::INT)] {
        let (mut daemon, mut session) = rig.attach(round);
        let order = start(&session, Program::Script, &[&long_script(&rig)]);
        let command = session.send_start(&order);
        session.until("it runs", |s| s.phase(command) == Some(Phase::Running));
        let pid = pid_in(&rig.path("witness"));
        let since = Instant::now();
        daemon.signal(signal);
        assert!(daemon.wait().success());
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
        assert!(is_alive(pid));
    }
}

#[test]
fn stop_kill_ends_all_commands_and_reports_them_and_then_the_daemon() {
    let rig = Rig::new();
    let (mut daemon, mut session) = rig.attach(1);
    let order = start(&session, Program::Script, &[&long_script(&rig)]);
    let command = session.send_start(&order);
    session.until("it runs", |s| s.phase(command) == Some(Phase::Running));
    let pid = pid_in(&rig.path("witness"));
    let output = rig.worker(&["stop", "--kill"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "stopped; 1 commands were ended\n");
    assert!(daemon.wait().success());
    assert!(!is_alive(pid));
    session.until_gone();
    assert_eq!(session.phase(command), Some(Phase::Ended));
}

#[test]
fn status_says_where_the_worker_is_and_what_it_has() {
    let rig = Rig::new();
    assert_eq!(rig.worker(&["status"]).status.code(), Some(69));
    let (mut daemon, _session) = rig.attach(1);
    let status = || text(&rig.worker(&["status"]).stdout);
    eventually("the worker is attached", || status().contains("attached to test (127.0.0.1:"));
    assert!(status().contains("0 running, 0 ended"), "{}", status());
    let json: serde_json::Value =
        serde_json::from_slice(&rig.worker(&["status", "--json"]).stdout).unwrap();
    assert_eq!(json["master"]["state"], "attached");
    assert!(rig.worker(&["stop"]).status.success());
    assert!(daemon.wait().success());
    assert!(rig.log().lines().any(|l| l.contains("attached") && l.contains("master=test")));
}

#[test]
fn a_second_worker_on_the_same_data_is_refused_in_one_line() {
    let rig = Rig::new();
    let (_daemon, _session) = rig.attach(1);
    let output = rig.worker(&[]);
    assert_eq!(output.status.code(), Some(75));
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("in use by another worker"), "{said}");
}

#[test]
fn check_finds_everything_and_the_daemon_does_not_start() {
    let rig = Rig::new();
    assert!(rig.worker(&["check"]).status.success());
    rig.configure("max_bilds = 3\nrepositories = { allow_local = 1 }\n");
    for arguments in [&["check"][..], &["check", "--json"], &["run"]] {
        let output = rig.worker(arguments);
        assert_eq!(output.status.code(), Some(78));
        let said = text(&output.stderr) + &text(&output.stdout);
        assert!(said.contains("E0102") && said.contains("E0302"), "{said}");
        assert!(said.contains("did you mean `max_builds`?"), "{said}");
    }
}

#[test]
fn logs_that_the_master_has_are_not_sent_again() {
    let rig = Rig::new();
    let (daemon, mut session) = rig.attach(1);
    let order = start(&session, Program::Exec, &["echo", "hello"]);
    session.send_start(&order);
    session.end(order.command);
    let logs = session.logs.clone();
    daemon.kill();
    let _daemon = rig.start();
    let mut session = rig.master.welcome(1, 2);
    session.place(logs.clone());
    let other = start(&session, Program::Exec, &["echo", "other"]);
    session.send_start(&other);
    session.end(other.command);
    let known: BTreeMap<_, _> =
        session.logs.into_iter().filter(|(command, _)| *command == order.command).collect();
    assert_eq!(known, logs);
}
