//! A launch that runs: its output, its exit code, and masters that go away meanwhile.

use proto::message::hello::{Ping, Pong};
use proto::message::launch::{Ended, Follow, Launch, Position};
use proto::record::Channel;

use crate::master::{Yard, accepted, follow};
use crate::process::start;

#[test]
fn output_is_kept_apart_and_the_exit_code_is_the_apps_own() {
    let yard = Yard::new();
    let status = yard.path("status.json");
    let client = start(yard.launcher("hello").env("CHANGEPORT_STATUS", &status));
    let mut call = yard.run_launch();
    call.output(0, &[(Channel::Out, b"o\xff\0"), (Channel::Err, b"e\r"), (Channel::Out, b"p")]);
    call.ended(75);
    let finished = client.finish();
    assert_eq!(finished.stdout, b"o\xff\0p");
    assert_eq!((finished.code(), finished.err().as_str()), (Some(75), "e\r"));
    let status: serde_json::Value =
        serde_json::from_slice(&std::fs::read(status).unwrap()).unwrap();
    let expected = serde_json::json!({
        "v": 1, "origin": "app", "request": "hello#1", "result": "FAILURE", "exit_code": 75,
        "reason": "",
    });
    assert_eq!(status, expected);
}

#[test]
fn a_reason_is_said_and_the_code_is_not_the_apps() {
    let yard = Yard::new();
    let status = yard.path("status.json");
    let mut hello = yard.launcher("hello");
    let client = start(hello.env("CHANGEPORT_STATUS", &status).env("CHANGEPORT_QUIET", "1"));
    let mut call = yard.run_launch();
    call.send(&Ended {
        request: "hello#1".to_owned(),
        result: "EXCEPTION".to_owned(),
        exit_code: 74,
        reason: "lost\x1b[2J (supervisor)".to_owned(),
    });
    let finished = client.finish();
    assert_eq!(
        (finished.code(), finished.err().as_str()),
        (Some(74), "hello: lost[2J (supervisor)\n")
    );
    assert!(std::fs::read_to_string(status).unwrap().contains(r#""origin":"launcher""#));
}

#[test]
fn a_reason_that_the_log_has_told_is_not_told_again() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = yard.run_launch();
    call.output(0, &[(Channel::System, b"cannot run `x`: no such file")]);
    call.send(&Ended {
        request: "hello#1".to_owned(),
        result: "FAILURE".to_owned(),
        exit_code: 126,
        reason: "step: not started (cannot run `x`: no such file)".to_owned(),
    });
    let finished = client.finish();
    let expected = "hello: cannot run `x`: no such file\n";
    assert_eq!((finished.code(), finished.err().as_str()), (Some(126), expected));
}

#[test]
fn words_of_the_yard_carry_the_apps_name_unless_quiet() {
    for (quiet, expected) in [("0", "e\nhello: ended for taking too long\n"), ("1", "e\n")] {
        let yard = Yard::new();
        let client = start(yard.launcher("hello").env("CHANGEPORT_QUIET", quiet));
        let mut call = yard.run_launch();
        call.output(0, &[(Channel::Err, b"e\n"), (Channel::System, b"ended for taking too long")]);
        call.ended(0);
        assert_eq!(client.finish().err(), expected);
    }
}

#[test]
fn a_lost_connection_neither_loses_nor_doubles_a_byte() {
    let mut yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = yard.run_launch();
    let first = call.output(0, &[(Channel::Out, b"one ")]);
    let second = call.output(first, &[(Channel::Out, b"two "), (Channel::Err, b"err ")]);
    call.send(&Ping { nonce: 7 });
    assert_eq!(call.receive::<Pong>(), Pong { nonce: 7 });
    yard.kill_master();
    drop(call);
    yard.start_master();

    let mut call = yard.welcome();
    assert_eq!(call.receive::<Follow>(), follow(Position { part: 0, offset: second }));
    // A master may begin earlier than it was asked to.
    call.output(
        first,
        &[(Channel::Out, b"two "), (Channel::Err, b"err "), (Channel::Out, b"three")],
    );
    call.ended(3);
    let finished = client.finish();
    assert_eq!(finished.out(), "one two three");
    assert_eq!((finished.code(), finished.err().as_str()), (Some(3), "err "));
}

#[test]
fn half_a_frame_before_the_loss_does_no_harm() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = yard.run_launch();
    call.send_bytes(&[0, 0, 1, 0, 0, 65]);
    drop(call);
    let mut call = yard.welcome();
    assert_eq!(call.receive::<Follow>(), follow(Position::default()));
    call.output(0, &[(Channel::Out, b"all")]);
    call.ended(0);
    assert_eq!(client.finish().out(), "all");
}

#[test]
fn a_launch_whose_answer_was_lost_is_submitted_again_as_the_same() {
    let yard = Yard::new();
    let client = start(yard.launcher("hello").arg("x"));
    let mut call = yard.welcome();
    let first: Launch = call.receive();
    drop(call);
    let mut call = yard.welcome();
    assert_eq!(call.receive::<Launch>(), first);
    call.send(&accepted());
    let _follow: Follow = call.receive();
    call.ended(0);
    assert_eq!(client.finish().code(), Some(0));
}

#[test]
fn a_master_that_is_gone_before_its_welcome_is_called_again() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    drop(yard.accept());
    let (mut call, _) = yard.accept_launch();
    call.ended(0);
    assert_eq!(client.finish().code(), Some(0));
}

#[test]
fn output_with_a_hole_is_an_error_and_not_passed_over() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = yard.run_launch();
    call.output(100, &[(Channel::Out, b"late")]);
    let finished = client.finish();
    assert_eq!((finished.code(), finished.out().as_str()), (Some(74), ""));
    assert!(finished.err().contains("output is missing before byte 100"), "{finished:?}");
}

#[test]
fn noise_from_a_master_is_an_error_and_no_panic() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = yard.run_launch();
    call.send_bytes(&[0, 0, 0, 4, 0, 66, 1, 0xc1]);
    let finished = client.finish();
    assert_eq!(finished.code(), Some(74), "{finished:?}");
    assert!(finished.err().contains("hello#1: the master said something"), "{finished:?}");

    let client = start(&mut yard.launcher("other"));
    yard.accept().send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let finished = client.finish();
    assert_eq!(finished.code(), Some(76), "{finished:?}");
}

#[test]
fn messages_of_a_newer_master_are_skipped_unless_they_must_be_understood() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = yard.run_launch();
    call.send_bytes(&[0, 0, 0, 4, 0xff, 0xf0, 0, 0xc0]);
    call.ended(0);
    assert_eq!(client.finish().code(), Some(0));
}
