//! What a launch carries.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use proto::Bytes;
use proto::message::launch::{Launch, Wait};

use crate::master::Yard;
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
    let variables: [(&str, &[u8]); 7] = [
        ("DISPLAY", b":1"),
        ("LC_ALL", b"\xff"),
        ("TERM", b"dumb"),
        ("SECRET", b"s"),
        ("PATH", b"/bin"),
        ("LICENCE", b"l"),
        ("CHANGEPORT_ENV", b"LICENCE, OTHER"),
    ];
    hello.envs(variables.map(|(name, value)| (name, OsStr::from_bytes(value))));
    let client = start(&mut hello);
    let (mut call, launch) = yard.accept_launch();
    call.ended(0);
    client.finish();
    let mut offered: Vec<(Vec<u8>, Vec<u8>)> =
        launch.env.into_iter().map(|variable| (variable.name.0, variable.value.0)).collect();
    offered.sort();
    let expected: [(&[u8], &[u8]); 4] =
        [(b"DISPLAY", b":1"), (b"LC_ALL", b"\xff"), (b"LICENCE", b"l"), (b"TERM", b"dumb")];
    assert_eq!(offered, expected.map(|(name, value)| (name.to_vec(), value.to_vec())));
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
        call.send(&crate::master::accepted());
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
