//! The administrator's command line: tables, JSON, diagnostics and exit codes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use e2e::{Yard, finish, wait_until};
use serde_json::Value;

/// `mixed` has steps of every result; `waits` has a worker that never comes.
const BUILDERS: &str = r#"
app.mixed = { builder = "mixed" }
app.waits = { builder = "waits" }
worker.away = { names = ["far"] }
[builder.mixed]
workers = ["local"]
steps = [
  { name = "good", script = "echo good; printf '\\033]0;x\\377\\n' >&2" },
  { name = "odd", script = "exit 4", on_failure = "warn" },
  { name = "bad", command = ["sh", "-c", "echo bad; exit 5"] },
  { name = "never", script = "echo never" },
]
[builder.waits]
workers = ["away"]
steps = [{ name = "nothing", script = "true" }]
"#;

/// A yard where `mixed#1` has ended and `waits#1` and `waits#2` wait.
fn busy_yard() -> (Yard, Vec<e2e::Daemon>) {
    let yard = Yard::new(BUILDERS);
    let daemons = vec![yard.start_master(), yard.start_worker("")];
    assert_eq!(yard.changeport(&["run", "mixed"]).code(), 5);
    for number in 1..=2 {
        let submitted = yard.changeport(&["submit", "waits"]);
        assert_eq!(submitted.out(), format!("waits#{number}\n"), "{}", submitted.err());
    }
    (yard, daemons)
}

/// Returns the cells of a table's line.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn tables_say_what_happened_and_what_waits() {
    let (yard, _daemons) = busy_yard();
    let builds = yard.master(&["builds"]).out();
    let lines: Vec<Vec<&str>> = builds.lines().map(cells).collect();
    assert_eq!(lines[0], ["BUILD", "RESULT", "WORKER", "TOOK", "STEPS"]);
    assert_eq!(lines[1][..3], ["mixed#1", "FAILURE", "w1"]);
    let steps = "good ✓ · odd ✗ exited(4) · bad ✗ exited(5) · never –";
    assert_eq!(lines[1].get(4), Some(&steps), "{builds}");
    assert_eq!(lines.len(), 2, "{builds}");
    assert_eq!(yard.master(&["builds", "waits"]).out().lines().count(), 1, "only the head");
    let queue = yard.master(&["queue"]).out();
    let lines: Vec<Vec<&str>> = queue.lines().map(cells).collect();
    assert_eq!(lines[0], ["PLACE", "REQUEST", "OWNER", "PRIORITY", "WAITED", "WAITS FOR"]);
    assert_eq!(lines[1][..2], ["1", "waits#1"]);
    assert_eq!(lines[1][5], "none of its workers is connected (far)");
    assert_eq!(lines[2][..2], ["2", "waits#2"]);
    assert_eq!(lines[2][5], "none of its workers is connected (far); 1 ahead of it");
    let why = yard.master(&["why", "mixed#1"]).out();
    let expected = "mixed#1 ended: FAILURE\n  ✓ step good  SUCCESS exited(0)\n  \
        ✗ step odd  FAILURE exited(4)\n  ✗ step bad  FAILURE exited(5)\n  \
        – step never  SKIPPED an earlier step ended the build\n";
    assert_eq!(why, expected);
    let logs = yard.log_of("mixed#1");
    let logs = String::from_utf8_lossy(&logs).into_owned();
    assert!(logs.contains("good\n") && logs.ends_with("bad\n"), "{logs}");
    assert_eq!(yard.log_of("mixed#1/bad"), b"bad\n");
    assert_eq!(yard.log_of("mixed#1/never"), b"");
    assert_eq!(yard.log_of("waits#1"), b"");
    let status = yard.master(&["status"]).out();
    assert!(status.starts_with("master yard 0."), "{status}");
    assert!(status.contains("0 running, 2 waiting"), "{status}");
    let lines: Vec<Vec<&str>> = status.lines().map(cells).collect();
    assert!(lines.contains(&vec!["far", "not connected", "0/–"]), "{status}");
    assert!(lines.contains(&vec!["w1", "connected", "0/8"]), "{status}");
    assert!(status.contains("launch  changeport  well"), "{status}");
    let stopped = yard.master(&["stop", "waits#1", "--reason", "not needed"]).out();
    assert_eq!(stopped, "waits#1 left the queue\n");
    let why = yard.master(&["why", "waits#1"]).out();
    assert!(why.starts_with("waits#1 ended: CANCELLED, stopped by "), "{why}");
    assert!(why.contains(": not needed"), "{why}");
    assert_eq!(yard.ask(&["queue"])[0]["place"], 1, "the next one moved up");
}

#[test]
fn json_has_a_version_and_a_kind_in_every_line() {
    let (yard, _daemons) = busy_yard();
    for (arguments, kind, count) in [
        (&["builds"][..], "build", 1),
        (&["queue"], "request", 2),
        (&["why", "waits#2"], "why", 1),
        (&["logs", "mixed#1"], "record", 3),
        (&["status"], "status", 1),
        (&["stop", "waits#2"], "cancelled", 1),
    ] {
        let lines = yard.ask(arguments);
        assert_eq!(lines.len(), count, "{arguments:?}: {lines:#?}");
        for line in lines {
            assert_eq!((&line["v"], &line["kind"]), (&1.into(), &kind.into()), "{arguments:?}");
        }
    }
    let build = yard.ask(&["builds"]).remove(0);
    let words: Vec<&Value> =
        build["steps"].as_array().expect("steps").iter().map(|s| &s["result"]).collect();
    assert_eq!(words, ["SUCCESS", "FAILURE", "FAILURE", "SKIPPED"]);
    let times = (build["started_us"].as_i64(), build["ended_us"].as_i64());
    assert!(times.0.is_some() && times.0 <= times.1, "{build}");
    let records = yard.ask(&["logs", "mixed#1/good"]);
    let channels: BTreeSet<&str> = records.iter().filter_map(|r| r["channel"].as_str()).collect();
    assert_eq!(channels, BTreeSet::from(["err", "out"]));
}

#[test]
fn logs_come_out_of_the_streams_they_were_written_to_byte_for_byte() {
    let (yard, _daemons) = busy_yard();
    let logs = yard.master(&["logs", "mixed#1/good"]);
    assert_eq!((logs.code(), logs.stdout.as_slice()), (0, &b"good\n"[..]));
    assert_eq!(logs.stderr, b"\x1b]0;x\xff\n");
}

#[test]
fn the_masters_log_tells_of_builds_and_has_no_url_where_there_is_none() {
    let (_yard, mut daemons) = busy_yard();
    let master = &mut daemons[0];
    master.wait_for("build mixed#1 started on w1");
    master.wait_for("build mixed#1 ended: FAILURE");
    assert_eq!(master.log().matches("mixed#1 started").count(), 1, "{}", master.log());
    assert!(!master.wait_for("ready: ").contains("url"), "{}", master.log());
}

#[test]
fn a_command_line_that_makes_no_sense_is_64() {
    let yard = Yard::new("");
    for arguments in [&["no-such-command"][..], &["--no-such-option"], &["why"]] {
        let codes = [
            finish(yard.bare_master_command().args(arguments)).code(),
            finish(yard.bare_worker_command().args(arguments)).code(),
            yard.changeport(arguments).code(),
        ];
        assert_eq!(codes, [64; 3], "{arguments:?}");
    }
    assert_eq!(finish(yard.bare_master_command().arg("--help")).code(), 0);
    assert_eq!(finish(yard.bare_worker_command().arg("--version")).code(), 0);
}

#[test]
fn an_unknown_id_is_64_and_a_master_that_is_not_there_69() {
    let yard = Yard::new(BUILDERS);
    let verbs = ["why", "logs", "stop"];
    for verb in verbs {
        let absent = yard.master(&[verb, "mixed#1"]);
        assert_eq!(absent.code(), 69, "{verb}: {}", absent.err());
        assert!(absent.err().contains("is it running"), "{verb}: {}", absent.err());
    }
    let _master = yard.start_master();
    for verb in verbs {
        for (id, words) in
            [("mixed#1", "no request mixed#1; see: master queue"), ("mixed", "mixed")]
        {
            let unknown = yard.master(&[verb, id]);
            assert_eq!(unknown.code(), 64, "{verb} {id}: {}", unknown.err());
            assert!(unknown.err().contains(words), "{verb} {id}: {}", unknown.err());
            assert_eq!(unknown.err().lines().count(), 1, "{verb} {id}: {}", unknown.err());
        }
    }
    let submitted = yard.changeport(&["submit", "mixed"]);
    assert_eq!(submitted.out(), "mixed#1\n", "{}", submitted.err());
    let _worker = yard.start_worker("");
    yard.results("mixed", 1);
    let unknown = yard.master(&["logs", "mixed#1/god"]);
    assert_eq!(unknown.code(), 64, "{}", unknown.err());
    assert!(unknown.err().contains("good, odd, bad, never"), "{}", unknown.err());
}

#[test]
fn the_control_socket_is_its_users_alone() {
    let yard = Yard::new(BUILDERS);
    let _master = yard.start_master();
    let mode = |name: &str| {
        let metadata = fs::metadata(yard.path(name)).expect("the master made it");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("control.sock"), 0o600);
    assert_eq!(mode("master"), 0o700);
    assert_eq!(mode("change.sock"), 0o666, "everybody may call, the kernel says who it is");
}

/// Seven mistakes, one a line.
const SEVEN: &str = r#"version = 1
master = { name = "yard", data = "master", contrl = "control.sock" }
worker_port = { listen = "0.0.0.0:9989", token_file = "tokens" }
worker.local = { names = ["w1"] }
change_source.launch = { type = "changeprt" }
app.deploy = { builder = "deploy" }
scheduler.deploy = { type = "any_branch", change_source = "launch", builders = ["deploi"] }
pool.ansys = { seats = 2 }
[builder.deploy]
workers = ["local"]
steps = [
  { name = "slow", command = ["echo", "${nope.x}"] },
  { name = "late", command = ["true"], timeout = 20 },
]
"#;

/// Each of them: code, line, what is underlined, what is said about it.
const FOUND: [(&str, u64, &str, &[&str]); 7] = [
    ("E0102", 2, "contrl", &["unknown key `contrl`", "did you mean `control`?"]),
    ("E0501", 3, "\"0.0.0.0:9989\"", &["listen on 127.0.0.1"]),
    ("E0104", 5, "\"changeprt\"", &["did you mean `changeport`?"]),
    ("E0203", 7, "\"deploi\"", &["no builder named `deploi`", "did you mean `deploy`?"]),
    ("E0101", 8, "pool", &["not in this version"]),
    ("E0401", 12, "nope", &["known are args, change"]),
    ("E0301", 13, "20", &["write the unit: \"20s\""]),
];

#[test]
fn check_shows_seven_errors_at_once_with_place_and_fix() {
    let yard = Yard::new("");
    yard.write("master.toml", SEVEN);
    let checked = yard.master(&["check"]);
    assert_eq!((checked.code(), checked.err().as_str()), (78, ""));
    let text = checked.out();
    assert!(text.ends_with("master.toml: 7 errors; nothing was changed\n"), "{text}");
    let parts: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(parts.len(), 8, "{text}");
    for ((code, line, place, words), part) in FOUND.into_iter().zip(&parts) {
        assert!(part.starts_with(&format!("error[{code}]")), "{part}");
        assert!(part.contains(&format!("master.toml:{line}:")), "{part}");
        assert!(part.contains(&"^".repeat(place.len())), "{part}");
        assert!(words.iter().all(|word| part.contains(word)), "{part}");
    }
    assert!(parts[3].contains("`deploy` is defined here"), "{}", parts[3]);
    assert!(!text.contains('\x1b'), "no colours into a pipe");
    let started = finish(&mut yard.master_command());
    assert_eq!((started.code(), started.err()), (78, text), "the daemon says the same");
}

#[test]
fn check_gives_the_same_errors_to_an_editor() {
    let yard = Yard::new("");
    yard.write("master.toml", SEVEN);
    let checked = yard.master(&["check", "--json"]);
    assert_eq!(checked.code(), 78);
    let problems: Vec<Value> = serde_json::from_str(&checked.out()).expect("it is JSON");
    assert_eq!(problems.len(), 7, "{problems:#?}");
    for ((code, line, place, words), problem) in FOUND.into_iter().zip(&problems) {
        assert_eq!(problem["code"], code);
        let (start, end) = (&problem["range"]["start"], &problem["range"]["end"]);
        assert_eq!(
            (start["line"].as_u64(), end["line"].as_u64()),
            (Some(line - 1), Some(line - 1))
        );
        let column =
            |at: &Value| usize::try_from(at["character"].as_u64().unwrap_or(0)).unwrap_or(0);
        let source = SEVEN.lines().nth(usize::try_from(line - 1).unwrap_or(0)).unwrap_or_default();
        assert_eq!(&source[column(start)..column(end)], place, "{problem}");
        let message = problem["message"].as_str().unwrap_or_default();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}

#[test]
fn a_good_configuration_is_checked_without_touching_anything() {
    let yard = Yard::new(BUILDERS);
    let checked = yard.master(&["check"]);
    assert_eq!(checked.code(), 0, "{}", checked.out());
    assert!(checked.out().ends_with("master.toml: no problems\n"), "{}", checked.out());
    assert_eq!(yard.master(&["check", "--json"]).out(), "[]\n");
    assert!(!yard.path("master").exists(), "nothing was made");
}

#[test]
fn every_code_is_explained() {
    let yard = Yard::new("");
    let unknown = yard.master(&["explain", "E9999"]);
    assert_eq!(unknown.code(), 64);
    let text = unknown.err();
    let codes: Vec<&str> =
        text.trim().rsplit(": ").next().unwrap_or_default().split(", ").collect();
    assert!(codes.len() >= 17, "{text}");
    for code in &codes {
        let explained = yard.master(&["explain", &code.to_lowercase()]);
        assert_eq!(explained.code(), 0, "{code}: {}", explained.err());
        let text = explained.out();
        assert!(text.starts_with(&format!("{code}: ")), "{text}");
        assert!(text.lines().nth(2).is_some_and(|line| line.len() > 40), "{text}");
    }
    let found: BTreeSet<&str> = FOUND.iter().map(|(code, ..)| *code).collect();
    assert!(found.iter().all(|code| codes.contains(code)), "{codes:?}");
}

type Program = fn(&Yard) -> Command;

#[test]
fn each_program_tells_its_version_and_its_verbs() {
    let yard = Yard::new("");
    let version = env!("CARGO_PKG_VERSION");
    let programs: [(Program, &str, &str); 3] = [
        (Yard::bare_master_command, "master", "explain"),
        (Yard::bare_worker_command, "worker", "status"),
        (Yard::changeport_command, "changeport", "submit"),
    ];
    for (program, name, verb) in programs {
        let told = finish(program(&yard).arg("--version"));
        assert_eq!((told.code(), told.out()), (0, format!("{name} {version}\n")));
        let help = finish(program(&yard).arg("--help"));
        assert_eq!(help.code(), 0, "{name}: {}", help.err());
        assert!(help.out().contains(verb), "{name}: {}", help.out());
    }
}

#[test]
fn a_followed_log_ends_with_its_build() {
    let yard = Yard::new(BUILDERS);
    let _master = yard.start_master();
    let submitted = yard.changeport(&["submit", "mixed"]);
    assert_eq!(submitted.out(), "mixed#1\n", "{}", submitted.err());
    let mut command = yard.master_command();
    let following =
        std::thread::spawn(move || finish(command.args(["logs", "--follow", "mixed#1"])));
    let _worker = yard.start_worker("");
    let followed = following.join().expect("the follower ends");
    assert_eq!(followed.code(), 0, "{}", followed.err());
    assert!(followed.out().starts_with("good\n") && followed.out().ends_with("bad\n"));
    wait_until("nothing to run", || (yard.ask(&["status"])[0]["running"] == 0).then_some(()));
}
