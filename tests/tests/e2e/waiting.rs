//! A caller in a queue sees how it moves.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::{Client, Daemon, Raw, Yard, wait_until};
use proto::message::hello::{Hello, Role, Welcome};
use proto::message::launch::{Follow, Position, Progress, Stage};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Nothing that a test waits for takes longer on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker with one place that is taken, and two requests that wait for it.
fn full() -> (Yard, Daemon, Daemon) {
    let yard = Yard::new("");
    let gate = yard.path("gate").display().to_string();
    yard.configure(&format!(
        r#"
app.gate = {{ builder = "gate" }}
[builder.gate]
workers = ["local"]
steps = [{{ name = "gate", script = "until test -e {gate}; do sleep 0.02; done" }}]
"#
    ));
    let master = yard.start_master();
    yard.configure_worker("max_builds = 1\n");
    let worker = yard.start_configured_worker();
    for _ in 0..2 {
        assert_eq!(yard.changeport(&["submit", "gate"]).code(), 0);
    }
    wait_until("the first to run", || {
        let builds = yard.ask(&["builds"]);
        builds.iter().any(|build| build["build"] == "gate#1").then_some(())
    });
    (yard, master, worker)
}

/// Returns where a request that is followed is next, waiting for a change that is pushed.
fn next(raw: &mut Raw) -> (Stage, u32) {
    let Progress { stage, place, .. } = raw.expect();
    (stage, place)
}

#[test]
fn a_follower_that_never_asks_is_told_of_every_move() {
    let (yard, _master, _worker) = full();
    assert_eq!(yard.changeport(&["submit", "gate"]).out(), "gate#3\n");
    let mut raw = yard.raw_client();
    raw.send(&Hello::new(Role::Client, None));
    raw.expect::<Welcome>();
    raw.send(&Follow { request: "gate#3".to_owned(), position: Position::default() });
    assert_eq!(next(&mut raw), (Stage::Queued, 2));
    assert_eq!(yard.changeport(&["stop", "gate#2"]).code(), 0);
    assert_eq!(next(&mut raw), (Stage::Queued, 1));
    fs::write(yard.path("gate"), "").expect("the yard is ours");
    assert_eq!(next(&mut raw), (Stage::Running, 0));
}

/// Makes a terminal and returns both its ends, the program's second.
fn terminal() -> (File, File) {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("make a terminal");
    grantpt(&near).expect("it is ours");
    unlockpt(&near).expect("it is new");
    let name = ptsname(&near, Vec::new()).expect("it has a name");
    let path = std::ffi::OsStr::from_bytes(name.as_bytes());
    let far = OpenOptions::new().read(true).write(true).open(path).expect("open the other end");
    (File::from(near), far)
}

/// Reads what a terminal shows until that holds these words.
fn read_until(terminal: &mut File, shown: &mut String, words: &str) {
    let patience = Timespec::try_from(PATIENCE).expect("a minute is a time");
    while !shown.contains(words) {
        let mut sources = [PollFd::new(&*terminal, PollFlags::IN)];
        let count = poll(&mut sources, Some(&patience)).expect("a terminal can be waited for");
        assert_eq!(count, 1, "`{words}` did not come: {shown:?}");
        let mut bytes = [0; 4096];
        let count = terminal.read(&mut bytes).unwrap_or_else(|end| panic!("{end}: {shown:?}"));
        shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

fn run(yard: &Yard, stderr: Stdio) -> Command {
    let mut command = yard.changeport_command();
    command.args(["run", "gate"]).env("TERM", "xterm").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(stderr);
    command
}

#[test]
fn a_terminal_has_one_live_line_that_follows_the_queue() {
    let (yard, _master, _worker) = full();
    let (mut near, far) = terminal();
    let mut child = run(&yard, far.into()).spawn().expect("start the client");
    let mut shown = String::new();
    read_until(&mut near, &mut shown, "queued as gate#3, 2nd in line");
    assert_eq!(yard.changeport(&["stop", "gate#2"]).code(), 0);
    read_until(&mut near, &mut shown, "1st in line");
    assert!(!shown.contains('\n'), "each word replaces the one before: {shown:?}");
    fs::write(yard.path("gate"), "").expect("the yard is ours");
    read_until(&mut near, &mut shown, "gate: it's your turn, starting on w1\r\n");
    assert!(child.wait().expect("it is ours").success());
}

#[test]
fn what_is_no_terminal_gets_one_line_for_the_wait_and_one_for_its_end() {
    let (yard, _master, _worker) = full();
    let mut client = Client::start(yard.changeport_command().args(["run", "gate"]));
    let first = client.hears();
    assert_eq!(first, "gate: queued as gate#3, 2nd in line: worker w1 is full (1 of 1: gate#1)\n");
    assert_eq!(yard.changeport(&["stop", "gate#2"]).code(), 0);
    fs::write(yard.path("gate"), "").expect("the yard is ours");
    let finished = client.finish();
    let rest = finished.err();
    assert!(rest.starts_with("gate: started on w1 after "), "{rest}");
    assert_eq!((finished.code(), rest.lines().count()), (0, 1), "{rest}");
}
