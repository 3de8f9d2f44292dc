//! What a launch carries.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use proto::Bytes;
use proto::message::launch::{EnvWanted, Follow, Launch, Position, Wait};

use crate::master::{Yard, accepted, follow};
use crate::process::{finish, start};

#[test]
fn every_argument_is_the_apps_byte_for_byte() {
    let yard = Yard::new();
    let arguments: [&[u8]; 9] =
        [b"a b", b"", b"--help", b"--", b"--version", b"$HOME;`id`", b"\n", b"\xff\xfe", b"-"];
    let mut hello = yard.launcher("hello");
    hello.args(arguments.map(OsStr::from_bytes));
    let client = start(&mut hello);
    let (mut call, launch) = yard.accept_launch();
    call.ended(0);
    assert_eq!(launch.args, arguments.map(Bytes::from));
    assert_eq!((launch.app.as_str(), launch.wait), ("hello", Wait::Follow));
    let finished = client.finish();
    assert_eq!((finished.code(), finished.out(), finished.err()), (Some(0), "".into(), "".into()));
}

#[test]
fn the_directory_the_host_and_a_fresh_id_go_along() {
    let yard = Yard::new();
    let folder = yard.path("").join(OsStr::from_bytes(b"w\xf6rk"));
    std::fs::create_dir(&folder).unwrap();
    let mut ids = Vec::new();
    for app in ["one", "two"] {
        let client = start(yard.launcher(app).current_dir(&folder));
        let (mut call, launch) = yard.accept_launch();
        call.ended(0);
        client.finish();
        let there = folder.canonicalize().unwrap();
        assert_eq!(launch.cwd, Bytes::from(there.as_os_str().as_bytes()));
        assert_eq!(launch.host, rustix::system::uname().nodename().to_str().unwrap());
        assert_eq!((launch.launch_id.len(), launch.launch_id.as_bytes()[14]), (36, b'7'));
        ids.push(launch.launch_id);
    }
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn only_variables_that_an_app_may_want_are_offered() {
    let yard = Yard::new();
    let mut hello = yard.launcher("hello");
    let variables: [(&str, &[u8]); 9] = [
        ("DISPLAY", b":1"),
        ("LC_ALL", b"\xff"),
        ("TERM", b"dumb"),
        ("SECRET", b"s"),
        ("PATH", b"/bin"),
        ("LICENCE", b"l"),
        ("SITE_ROOT", b"/"),
        ("SITE", b"not this"),
        ("CHANGEPORT_ENV", b"LICENCE, OTHER,,SITE_*,"),
    ];
    hello.envs(variables.map(|(name, value)| (name, OsStr::from_bytes(value))));
    let client = start(&mut hello);
    let (mut call, launch) = yard.accept_launch();
    call.ended(0);
    client.finish();
    let expected: [(&[u8], &[u8]); 5] = [
        (b"DISPLAY", b":1"),
        (b"LC_ALL", b"\xff"),
        (b"LICENCE", b"l"),
        (b"SITE_ROOT", b"/"),
        (b"TERM", b"dumb"),
    ];
    assert_eq!(sent(&launch), expected.map(|(name, value)| (name.to_vec(), value.to_vec())));
    for pattern in ["DISPLAY", "LC_*", "LICENCE", "OTHER", "SITE_*"] {
        assert!(launch.offered.contains(&pattern.into()), "{pattern}: {:?}", launch.offered);
    }
    assert!(!launch.offered.contains(&Bytes::default()), "{:?}", launch.offered);
}

/// Returns the variables of a launch, sorted.
fn sent(launch: &Launch) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = launch.env.iter().map(|v| (v.name.0.clone(), v.value.0.clone()));
    let mut variables: Vec<_> = pairs.collect();
    variables.sort();
    variables
}

fn names(launch: &Launch) -> Vec<String> {
    let lossy = |(name, _): (Vec<u8>, Vec<u8>)| String::from_utf8_lossy(&name).into_owned();
    sent(launch).into_iter().map(lossy).collect()
}

fn wanted(patterns: &[&str]) -> EnvWanted {
    EnvWanted { patterns: patterns.iter().map(|pattern| (*pattern).into()).collect() }
}

/// A launcher with variables nobody wants, some that are wanted, and some of odd names.
fn with_variables(yard: &Yard) -> Command {
    let mut hello = yard.launcher("hello");
    hello.env("TERM", "dumb").env("SECRET", "s").env("LICENCE", "l").env("SITE_ROOT", "/");
    hello.env("", "nothing");
    hello
}

#[test]
fn what_an_app_wants_is_sent_when_the_master_asks_and_nothing_else_leaves() {
    let yard = Yard::new();
    let client = start(&mut with_variables(&yard));
    let mut call = yard.welcome();
    let first: Launch = call.receive();
    assert_eq!(names(&first), ["TERM"]);
    call.send(&wanted(&["LICENCE", "SITE_*", "ABSENT"]));
    let second: Launch = call.receive();
    assert_eq!(names(&second), ["LICENCE", "SITE_ROOT", "TERM"]);
    let offered = [&first.offered[..], &wanted(&["LICENCE", "SITE_*", "ABSENT"]).patterns].concat();
    let env = second.env.clone();
    assert_eq!(second, Launch { env, offered, ..first }, "the same launch");
    call.send(&accepted());
    assert_eq!(call.receive::<Follow>(), follow(Position::default()));
    call.ended(3);
    let finished = client.finish();
    assert_eq!((finished.code(), finished.err()), (Some(3), String::new()));
}

#[test]
fn what_was_sent_on_demand_is_sent_at_once_over_the_next_connection() {
    let mut yard = Yard::new();
    let client = start(&mut with_variables(&yard));
    let mut call = yard.welcome();
    let _first: Launch = call.receive();
    call.send(&wanted(&["*"]));
    let second: Launch = call.receive();
    assert!(names(&second).contains(&"SECRET".to_owned()), "the app wants everything");
    assert!(!names(&second).contains(&String::new()), "no program can have it");
    yard.kill_master();
    drop(call);
    yard.start_master();
    let (mut call, third) = yard.accept_launch();
    assert_eq!(third, second);
    call.ended(0);
    assert_eq!(client.finish().code(), Some(0));
}

#[test]
fn a_master_that_asks_on_and_on_is_left() {
    let yard = Yard::new();
    let client = start(&mut with_variables(&yard));
    let mut call = yard.welcome();
    let _first: Launch = call.receive();
    call.send(&wanted(&["LICENCE"]));
    let _second: Launch = call.receive();
    call.send(&wanted(&["SECRET"]));
    call.hung_up();
    let finished = client.finish();
    assert_eq!(finished.code(), Some(75), "nothing was accepted: {finished:?}");
    let said = "hello: the app wants other variables than a moment ago; \
                its configuration has just changed: try again\n";
    assert_eq!(finished.err(), said);
}

#[test]
fn an_environment_that_is_too_large_is_refused_when_it_is_asked_for() {
    let yard = Yard::new();
    let client = start(
        with_variables(&yard)
            .env("LARGE", "x".repeat(131_000))
            .envs((0..4).map(|at| (format!("MORE{at}"), "y".repeat(131_000)))),
    );
    let mut call = yard.welcome();
    let _first: Launch = call.receive();
    call.send(&wanted(&["*"]));
    call.hung_up();
    let finished = client.finish();
    assert_eq!(finished.code(), Some(64), "{finished:?}");
    assert!(finished.err().contains("are over the limit of 524288"), "{finished:?}");
}

#[test]
fn options_of_run_stand_before_the_two_dashes_and_arguments_behind_them() {
    let yard = Yard::new();
    let mut run = yard.changeport(&["run", "hello", "a", "--no-wait", "--", "--detach", "--", "b"]);
    let client = start(&mut run);
    let (mut call, launch) = yard.accept_launch();
    call.ended(0);
    assert_eq!(launch.args, ["a", "--detach", "--", "b"].map(Bytes::from));
    assert_eq!(launch.wait, Wait::StartNow);
    assert_eq!(client.finish().code(), Some(0));
}

#[test]
fn a_detached_launch_prints_its_id_and_leaves() {
    let yard = Yard::new();
    for arguments in [["run", "hello", "--detach"].as_slice(), &["submit", "hello"]] {
        let client = start(&mut yard.changeport(arguments));
        let mut call = yard.welcome();
        assert_eq!(call.receive::<Launch>().wait, Wait::Detach);
        call.send(&accepted());
        let finished = client.finish();
        assert_eq!((finished.code(), finished.out().as_str()), (Some(0), "hello#1\n"));
        call.hung_up();
    }
}

#[test]
fn too_much_is_refused_before_anything_is_sent_and_the_limit_is_named() {
    let yard = Yard::without_master();
    let finished = finish(yard.launcher("hello").args(vec!["x".repeat(100_000); 6]));
    assert_eq!(finished.code(), Some(64));
    assert!(finished.err().contains("600006 bytes are over the limit of 524288"), "{finished:?}");
}

#[test]
fn a_name_that_no_app_can_have_is_127_without_asking() {
    let yard = Yard::without_master();
    for name in [OsStr::new("-x"), OsStr::new("a b"), OsStr::from_bytes(b"h\xff")] {
        let finished = finish(&mut yard.launcher(name));
        assert_eq!(finished.code(), Some(127), "{finished:?}");
        assert!(finished.err().contains("there is no app"), "{finished:?}");
    }
}
