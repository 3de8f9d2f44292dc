//! Launches that a master refuses, and masters that cannot be reached.

use proto::message::hello::Hello;
use proto::message::launch::Launch;

use crate::master::Yard;
use crate::process::{finish, start};

#[test]
fn each_refusal_has_its_exit_code() {
    let codes = [
        ("unknown_app", 127),
        ("would_queue", 75),
        ("not_stored", 75),
        ("key_reused", 64),
        ("too_large", 64),
        ("bad_request", 64),
        ("unknown_request", 64),
        ("not_allowed", 77),
        ("unknown_token", 77),
        ("something_new", 64),
    ];
    for (refusal, code) in codes {
        let yard = Yard::new();
        let client = start(&mut yard.launcher("hello"));
        let mut call = yard.welcome();
        let _launch: Launch = call.receive();
        call.refuse(refusal);
        let finished = client.finish();
        assert_eq!(finished.code(), Some(code), "{refusal}");
        assert_eq!(finished.err(), format!("hello: refused for {refusal}; do otherwise\n"));
    }
}

#[test]
fn a_refused_hello_is_heard_although_the_launch_was_never_read() {
    let yard = Yard::new();
    let client = start(yard.launcher("hello").args(vec!["x".repeat(100_000); 5]));
    let mut call = yard.accept();
    let _hello: Hello = call.receive();
    call.refuse("version");
    drop(call);
    let finished = client.finish();
    assert_eq!(finished.code(), Some(76), "{finished:?}");
}

#[test]
fn a_master_that_is_not_there_is_69_at_once() {
    let yard = Yard::without_master();
    let status = yard.path("status.json");
    let finished = finish(yard.launcher("hello").env("CHANGEPORT_STATUS", &status));
    assert_eq!(finished.code(), Some(69));
    assert_eq!(finished.err().lines().count(), 1, "{finished:?}");
    assert!(finished.err().contains("cannot be reached"), "{finished:?}");
    assert!(std::fs::read_to_string(status).unwrap().contains(r#""exit_code":69"#));
}

#[test]
fn settings_that_make_no_sense_are_64() {
    for (name, value) in [
        ("CHANGEPORT_WAIT", "soon"),
        ("CHANGEPORT_MASTER", "nowhere"),
        ("CHANGEPORT_TOKEN_FILE", "/nonexistent"),
    ] {
        let yard = Yard::without_master();
        let status = yard.path("status.json");
        let mut hello = yard.launcher("hello");
        let finished = finish(hello.env("CHANGEPORT_STATUS", &status).env(name, value));
        assert_eq!(finished.code(), Some(64), "{finished:?}");
        assert!(finished.err().contains(value), "{finished:?}");
        assert!(std::fs::read_to_string(status).unwrap().contains(r#""exit_code":64"#));
    }
}
