//! Tests of whole orders: what is run, where, and with which variables.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proto::message::command::{
    CommandId, Program, SecretPiece, SecretValue, SecretVariable, Start, Variable,
};
use secret::Secret;

use super::*;
use crate::settings::DiskPolicy;

fn workshop(work: &Path) -> Workshop {
    let workdirs = Workdirs::open(work.to_owned(), DiskPolicy::default()).unwrap();
    Workshop {
        workdirs: Arc::new(workdirs),
        program: PathBuf::from("/usr/bin/worker"),
        own: Own::default(),
        variables: Variables::default(),
        repositories: Repositories::default(),
        output: OutputPolicy::default(),
        limits: LimitPolicy::default(),
        home: None,
    }
}

fn start(program: Program, argv: &[&str]) -> Start {
    Start {
        epoch: 1,
        session: 1,
        command: CommandId { incarnation: 10, counter: 11 },
        program,
        argv: argv.iter().map(|word| (*word).into()).collect(),
        env: Vec::new(),
        builder: "ci".to_owned(),
        slot: 0,
        workdir: "".into(),
        timeout_ms: None,
        silence_timeout_ms: None,
        max_output_bytes: None,
        max_processes: None,
        memory_bytes: None,
        properties_file: None,
        secrets: Vec::new(),
        secret_env: Vec::new(),
    }
}

fn texts(list: &[Vec<u8>]) -> Vec<String> {
    list.iter().map(|item| String::from_utf8_lossy(item).into_owned()).collect()
}

#[test]
fn a_script_is_one_argument_of_bash() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(&start(Program::Script, &["-x; echo"]), &workshop(folder.path())).unwrap();
    assert_eq!(texts(&spec.argv), ["bash", "-euo", "pipefail", "-c", "--", "-x; echo"]);
}

#[test]
fn a_git_step_is_this_program_and_knows_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let mut workshop = workshop(folder.path());
    let start = start(Program::Git, &["--repository", "https://example.org/r"]);
    let kept = folder.path().join("ci/0/source").display().to_string();
    let mut wanted =
        vec!["/usr/bin/worker", "git-step", "--repository", "https://example.org/r", "--kept"];
    wanted.extend([kept.as_str(), "--forbid-local"]);
    assert_eq!(texts(&spec(&start, &workshop).unwrap().argv), wanted);
    workshop.repositories.allow_local = true;
    wanted.pop();
    assert_eq!(texts(&spec(&start, &workshop).unwrap().argv), wanted);
}

#[test]
fn the_environment_is_built_from_nothing_and_later_wins() {
    let folder = tempfile::tempdir().unwrap();
    let mut workshop = workshop(folder.path());
    workshop.variables.0.insert("A".to_owned(), "admin".to_owned());
    workshop.variables.0.insert("B".to_owned(), "admin".to_owned());
    let mut start = start(Program::Exec, &["true"]);
    let variable = |name: &str, value: &[u8]| Variable { name: name.into(), value: value.into() };
    start.env = vec![variable("B", b"step \xff"), variable("YARDMASTER_COMMAND", b"forged")];
    let env = spec(&start, &workshop).unwrap().env;
    let wanted: [&[u8]; 6] = [
        b"A=admin",
        b"B=step \xff",
        b"LANG=C.UTF-8",
        b"PATH=/usr/local/bin:/usr/bin:/bin",
        b"YARDMASTER_BUILDER=ci",
        b"YARDMASTER_COMMAND=000000000000000a000000000000000b",
    ];
    assert_eq!(env, wanted);
}

#[test]
fn a_name_that_is_no_name_of_a_variable_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut start = start(Program::Exec, &["true"]);
    for bad in ["", "A=B"] {
        start.env = vec![Variable { name: bad.into(), value: "".into() }];
        let error = spec(&start, &workshop(folder.path())).unwrap_err();
        assert!(matches!(error, OrderError::Variable { .. }), "{error}");
    }
}

#[test]
fn a_workdir_lies_below_the_build_directory_of_the_slot() {
    let folder = tempfile::tempdir().unwrap();
    let mut start = start(Program::Exec, &["true"]);
    start.slot = 3;
    start.workdir = "./sub/deep/".into();
    let spec = spec(&start, &workshop(folder.path())).unwrap();
    let wanted = folder.path().canonicalize().unwrap().join("ci/3/build/sub/deep");
    assert_eq!(spec.cwd, wanted.as_os_str().as_encoded_bytes());
    assert!(wanted.is_dir());
}

#[test]
fn a_workdir_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for bad in ["/etc", "../other", "a/../../b", "a/.."] {
        let mut start = start(Program::Exec, &["true"]);
        start.workdir = bad.into();
        let error = spec(&start, &workshop(folder.path())).unwrap_err();
        assert!(matches!(error, OrderError::Workdir { .. }), "{bad}: {error}");
    }
    for bad in ["..", "", "a/b", ".hidden"] {
        let mut start = start(Program::Exec, &["true"]);
        start.builder = bad.to_owned();
        let error = spec(&start, &workshop(folder.path())).unwrap_err();
        assert!(matches!(error, OrderError::Builder(_)), "{bad}: {error}");
    }
}

#[test]
fn links_lead_nowhere_outside_the_build_directory() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let build = folder.path().join("ci/0/build");
    fs::create_dir_all(build.join("real")).unwrap();
    symlink(outside.path(), build.join("out")).unwrap();
    symlink("real", build.join("in")).unwrap();
    let mut start = start(Program::Exec, &["true"]);
    for (workdir, may) in [("in/new", true), ("out", false), ("out/new", false)] {
        start.workdir = workdir.into();
        assert_eq!(spec(&start, &workshop(folder.path())).is_ok(), may, "{workdir}");
    }
    assert!(build.join("real/new").is_dir());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    fs::rename(&build, folder.path().join("ci/0/old")).unwrap();
    symlink(outside.path(), &build).unwrap();
    start.workdir = "".into();
    assert!(spec(&start, &workshop(folder.path())).is_err());
}

/// An order with the secret `token` in two variables, one of which is also a plain one.
fn secret_start() -> Start {
    let piece = |text: &str, secret: Option<&str>| SecretPiece {
        text: text.into(),
        secret: secret.map(str::to_owned),
    };
    let variable =
        |name: &str, pieces: Vec<SecretPiece>| SecretVariable { name: name.into(), pieces };
    Start {
        env: vec![Variable { name: "A".into(), value: "plain".into() }],
        secrets: vec![SecretValue { name: "token".into(), value: Secret::new(b"hunter2".into()) }],
        secret_env: vec![
            variable("A", vec![piece("<", Some("token")), piece(">", None)]),
            variable("B", vec![piece("", Some("token"))]),
            variable("YARDMASTER_COMMAND", vec![piece("", Some("token"))]),
        ],
        ..start(Program::Exec, &["true"])
    }
}

#[test]
fn secrets_are_put_together_beside_the_spec() {
    let folder = tempfile::tempdir().unwrap();
    let start = secret_start();
    let spec = spec(&start, &workshop(folder.path())).unwrap();
    assert!(spec.has_secrets && !format!("{spec:?}").contains("hunter2"));
    let names = names(&spec);
    assert_eq!(names, "LANG PATH YARDMASTER_BUILDER YARDMASTER_COMMAND", "each once");
    let found = secrets(&start).unwrap().unwrap();
    let env: Vec<&[u8]> = found.env.iter().map(Secret::expose).collect();
    assert_eq!(env, [&b"A=<hunter2>"[..], b"B=hunter2"]);
    assert_eq!(found.values.len(), 1);
    assert!(!format!("{start:?} {found:?}").contains("hunter2"));
}

#[test]
fn an_order_that_does_not_bring_its_secret_is_refused() {
    let plain = start(Program::Exec, &["true"]);
    let start = Start { secrets: Vec::new(), ..secret_start() };
    let why = secrets(&start).unwrap_err().to_string();
    assert_eq!(why, "set variable `A`: the order does not bring the secret `token`");
    assert_eq!(secrets(&plain).unwrap(), None);
}
