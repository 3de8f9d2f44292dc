//! What a command leaves in the file it was asked for.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;

use shim::{Exit, Found, Left, LeftFile, Outcome, Spec};

use super::{Rig, wait_for_end};

const MOST_BYTES: u64 = 1024;

/// Runs a script that was asked for a file, and returns how it ended and what it left.
fn run(rig: &Rig, path: &str, script: &str) -> Exit {
    let left = Some(LeftFile { path: path.into(), most_bytes: MOST_BYTES });
    let spec = Spec { left, ..rig.spec(script) };
    wait_for_end(rig.start(&spec));
    let found = rig.spool.inspect(rig.id).unwrap();
    let Found::Exited(exit) = found else { panic!("expected an exit, found {found:?}") };
    exit
}

fn why(exit: Exit) -> String {
    match exit.left {
        Some(Left::Missing(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_command_writes_is_in_its_exit() {
    let rig = Rig::new();
    let exit =
        run(&rig, "out/./a.json", "mkdir out && printf '{\"a\": \\0001}' > out/a.json; exit 3");
    assert_eq!(exit.outcome, Outcome::Exited(3));
    assert_eq!(exit.left, Some(Left::Written(b"{\"a\": \x001}".to_vec())));
    let rig = Rig::new();
    assert_eq!(rig.run(&rig.spec("true")).0, Outcome::Exited(0));
    let Found::Exited(exit) = rig.spool.inspect(rig.id).unwrap() else { panic!("it ended") };
    assert_eq!(exit.left, None, "nobody asked");
}

#[test]
fn what_descendants_write_before_they_are_ended_counts_and_not_what_was_there_before() {
    let rig = Rig::new();
    fs::write(rig.marker("a.json"), "old").unwrap();
    let exit = run(&rig, "a.json", "test ! -e a.json || exit 9");
    assert_eq!(exit.outcome, Outcome::Exited(0), "the old one is gone before it runs");
    assert_eq!(why(exit), "it wrote no `a.json`");
    let rig = Rig::new();
    let exit = run(
        &rig,
        "a.json",
        "(trap '' TERM; echo new > a.json; sleep 100) & until test -s a.json; do :; done",
    );
    assert_eq!(exit.left, Some(Left::Written(b"new\n".to_vec())));
}

#[test]
fn only_a_file_of_modest_size_below_the_directory_counts() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    for (path, script, expected) in [
        ("a", "true", "it wrote no `a`"),
        ("a", "mkdir a", "not a regular file"),
        ("a", "mkfifo a", "not a regular file"),
        ("a", "ln -s /etc/passwd a", "cannot be read"),
        ("link/secret", "true", "cannot be read"),
        ("../a", "echo x > ../a", "not below the working directory"),
        ("/etc/passwd", "true", "not below the working directory"),
        (".", "true", "not below the working directory"),
        ("a", "head -c 1025 /dev/zero > a", "longer than 1024 bytes"),
        ("a", "truncate -s 1T a", "longer than 1024 bytes"),
    ] {
        let rig = Rig::new();
        symlink(outside.path(), rig.marker("link")).unwrap();
        let begun = Instant::now();
        let exit = run(&rig, path, script);
        assert_eq!(exit.outcome, Outcome::Exited(0), "{path}: {script}");
        let why = why(exit);
        assert!(why.contains(expected), "{path}: {script}: {why}");
        assert!(begun.elapsed().as_secs() < 10, "a pipe keeps nobody waiting");
    }
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "secret");
    let rig = Rig::new();
    let exit = run(&rig, "a", "head -c 1024 /dev/zero > a");
    assert!(matches!(exit.left, Some(Left::Written(bytes)) if bytes.len() == 1024));
}
