//! A command with secrets: it has them, its output has not, and no file ever does.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use secret::Secret;
use shim::record::Channel;
use shim::{EventChannel, Found, Left, LeftFile, Outcome, Secrets, Spec, Value};

use super::{Rig, eventually, only, wait_for_end};

const TOKEN: &str = "canary-81/+\"x";

fn start(rig: &Rig, spec: &Spec) -> EventChannel {
    let value = Value { name: "token".to_owned(), value: Secret::new(TOKEN.into()) };
    let env = vec![Secret::new(format!("TOKEN={TOKEN}").into_bytes())];
    let created = rig.spool.create(rig.id, spec).unwrap();
    rig.spawner.spawn(created.with_secrets(&Secrets { values: vec![value], env }).unwrap()).unwrap()
}

fn with_secrets(rig: &Rig, script: &str) -> Spec {
    Spec { has_secrets: true, ..rig.spec(script) }
}

/// Says which file below a folder holds the value.
fn holder(folder: &Path) -> Option<String> {
    fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holder(&path);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        let is_there = bytes.windows(9).any(|window| window == b"canary-81");
        is_there.then(|| path.display().to_string())
    })
}

#[test]
fn a_command_has_its_secrets_and_neither_its_output_nor_a_file_has() {
    let rig = Rig::new();
    let script = "test \"${#TOKEN}\" = 13 || exit 9; echo \"<$TOKEN>\"; echo \"$TOKEN\" >&2; \
        printf %s \"$TOKEN\" | base64; for c in canary -81/+ '\"x'; do printf %s \"$c\"; \
        sleep 0.05; done; printf canary-; set -x; : \"$TOKEN\"";
    let channel = start(&rig, &with_secrets(&rig, script));
    wait_for_end(channel);
    assert_eq!(rig.outcome(), Outcome::Exited(0));
    let log = rig.log();
    let text = |channel| String::from_utf8_lossy(&only(channel, &log)).into_owned();
    let masked = "[secret token]";
    assert_eq!(text(Channel::Out), format!("<{masked}>\n{masked}\n{masked}canary-"));
    assert_eq!(text(Channel::Err), format!("{masked}\n+ : {masked}\n"));
    assert_eq!(holder(rig.folder.path()), None);
}

#[test]
fn the_supervisor_shows_no_secret_to_others() {
    let rig = Rig::new();
    let channel = start(&rig, &with_secrets(&rig, "echo $PPID > ppid; sleep 60"));
    let supervisor = super::pid_in(&rig.marker("ppid"));
    for file in ["cmdline", "environ"] {
        // One that shows itself to nobody is as good.
        let shown = fs::read(format!("/proc/{supervisor}/{file}")).unwrap_or_default();
        assert!(!shown.windows(9).any(|window| window == b"canary-81"), "{file}");
    }
    let held: Vec<_> = fs::read_dir(format!("/proc/{supervisor}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|path| path.to_string_lossy().contains("memfd"))
        .collect();
    assert_eq!(held, Vec::<std::path::PathBuf>::new());
    super::kill(supervisor);
    wait_for_end(channel);
}

#[test]
fn a_command_does_not_run_without_its_secrets() {
    let rig = Rig::new();
    let (outcome, log) = rig.run(&with_secrets(&rig, "touch ran"));
    let why = "prepare the process: its secrets did not come with it";
    assert_eq!(outcome, Outcome::NotStarted(why.to_owned()));
    assert_eq!(only(Channel::System, &log), why.as_bytes());
    assert!(!rig.marker("ran").exists());
}

#[test]
fn what_may_begin_a_secret_is_held_until_it_is_known_and_all_else_comes_at_once() {
    let rig = Rig::new();
    let script = "printf 'at once canary-'; while ! test -e go; do sleep 0.01; done; echo 82";
    let channel = start(&rig, &with_secrets(&rig, script));
    eventually("the first part is there", || only(Channel::Out, &rig.log()) == b"at once ");
    fs::write(rig.marker("go"), "").unwrap();
    wait_for_end(channel);
    assert_eq!(only(Channel::Out, &rig.log()), b"at once canary-82\n");
}

#[test]
fn who_writes_what_is_held_is_not_silent() {
    let rig = Rig::new();
    let script = "for c in c a n a r y; do printf $c; sleep 0.2; done";
    let spec = Spec { silence_timeout_ms: Some(600), ..with_secrets(&rig, script) };
    let since = Instant::now();
    wait_for_end(start(&rig, &spec));
    assert_eq!(rig.outcome(), Outcome::Exited(0));
    assert!(since.elapsed() > Duration::from_millis(1_000));
}

#[test]
fn properties_with_a_secret_in_them_are_refused() {
    let rig = Rig::new();
    let left = Some(LeftFile { path: "p.json".into(), most_bytes: 1024 });
    let script = "printf '{\"a\": \"%s\"}' 'canary-81/+\\\"x' > p.json";
    wait_for_end(start(&rig, &Spec { left, ..with_secrets(&rig, script) }));
    let Found::Exited(exit) = rig.spool.inspect(rig.id).unwrap() else { panic!("it ended") };
    let why = "`p.json` holds the secret `token`".to_owned();
    assert_eq!(exit.left, Some(Left::Missing(why)));
}
