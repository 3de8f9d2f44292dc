//! Callers that leave before the end: Ctrl-C and other signals, and output that nobody reads.

use std::process::Command;

use proto::message::launch::{Cancel, Cancelled, Follow, Leave, Position, Stage};
use proto::record::Channel;
use rustix::process::Signal;

use crate::master::{Call, Yard, follow};
use crate::process::start;

fn cancel_of(signal: i32) -> Cancel {
    Cancel { request: "hello#1".to_owned(), reason: String::new(), signal, only_queued: false }
}

fn cancelled(call: &mut Call, stage: Stage) {
    call.send(&Cancelled { request: "hello#1".to_owned(), stage, detail: String::new() });
}

#[test]
fn ctrl_c_in_the_queue_leaves_it() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let (mut call, _) = yard.accept_launch();
    call.progress(Stage::Queued, 2, "busy");
    client.signal(Signal::INT);
    assert_eq!(call.receive::<Cancel>(), cancel_of(2));
    cancelled(&mut call, Stage::Queued);
    let finished = client.finish();
    assert_eq!(finished.code(), Some(130));
    assert!(finished.err().ends_with("hello: left the queue\n"), "{finished:?}");
}

#[test]
fn ctrl_c_in_the_queue_leaves_even_when_the_master_says_nothing() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let (mut call, _) = yard.accept_launch();
    client.signal(Signal::INT);
    assert_eq!(call.receive::<Cancel>(), cancel_of(2));
    let finished = client.finish();
    assert_eq!(finished.code(), Some(130));
    assert!(finished.err().contains("hello#1 may go on"), "{finished:?}");
}

#[test]
fn ctrl_c_just_after_the_start_is_the_first_of_three() {
    let yard = Yard::new();
    let mut client = start(&mut yard.launcher("hello"));
    let (mut call, _) = yard.accept_launch();
    client.signal(Signal::INT);
    assert_eq!(call.receive::<Cancel>(), cancel_of(2));
    cancelled(&mut call, Stage::Running);
    assert!(client.hears().starts_with("hello: it had just started and is interrupted"));
    client.signal(Signal::INT);
    assert_eq!(call.receive::<Cancel>(), cancel_of(15));
    call.output(0, &[(Channel::Out, b"bye")]);
    call.ended(9);
    let finished = client.finish();
    assert_eq!((finished.code(), finished.out().as_str()), (Some(9), "bye"));
}

#[test]
fn three_presses_interrupt_then_terminate_then_leave() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = running(&yard);
    client.signal(Signal::INT);
    assert_eq!(call.receive::<Cancel>(), cancel_of(2));
    cancelled(&mut call, Stage::Running);
    client.signal(Signal::INT);
    assert_eq!(call.receive::<Cancel>(), cancel_of(15));
    client.signal(Signal::INT);
    let finished = client.finish();
    assert_eq!(call.receive::<Leave>(), Leave {});
    call.hung_up();
    assert_eq!(finished.code(), Some(130));
    let said: Vec<_> = finished.err().lines().map(str::to_owned).collect();
    assert_eq!(
        said,
        [
            "hello: interrupting it; Ctrl-C again within 2 s terminates it",
            "hello: terminating it; Ctrl-C again within 2 s leaves it behind",
            "hello: left hello#1; see: changeport status hello#1",
        ]
    );
}

#[test]
fn an_interrupted_app_has_the_last_word() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = running(&yard);
    client.signal(Signal::INT);
    assert_eq!(call.receive::<Cancel>(), cancel_of(2));
    call.ended(5);
    assert_eq!(client.finish().code(), Some(5));
}

#[test]
fn a_term_ends_the_app_and_waits_for_it() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = running(&yard);
    client.signal(Signal::TERM);
    assert_eq!(call.receive::<Cancel>(), cancel_of(15));
    cancelled(&mut call, Stage::Running);
    call.ended(143);
    assert_eq!(client.finish().code(), Some(143));
}

#[test]
fn a_refused_interrupt_does_not_end_the_following() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = running(&yard);
    client.signal(Signal::INT);
    assert_eq!(call.receive::<Cancel>(), cancel_of(2));
    call.refuse("not_stored");
    call.output(0, &[(Channel::Out, b"on")]);
    call.ended(6);
    let finished = client.finish();
    assert_eq!((finished.code(), finished.out().as_str()), (Some(6), "on"));
    assert!(finished.err().ends_with("hello: refused for not_stored; do otherwise\n"));
}

#[test]
fn a_wish_to_end_it_outlives_the_master() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = running(&yard);
    client.signal(Signal::TERM);
    assert_eq!(call.receive::<Cancel>(), cancel_of(15));
    drop(call);
    let mut call = yard.welcome();
    assert_eq!(call.receive::<Follow>(), follow(Position::default()));
    assert_eq!(call.receive::<Cancel>(), cancel_of(15));
    call.ended(143);
    assert_eq!(client.finish().code(), Some(143));
}

#[test]
fn a_hang_up_leaves_at_once() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = running(&yard);
    client.signal(Signal::HUP);
    assert_eq!(client.finish().code(), Some(129));
    assert_eq!(call.receive::<Leave>(), Leave {});
    call.hung_up();
}

#[test]
fn a_signal_that_the_caller_ignores_is_ignored() {
    let yard = Yard::new();
    let launcher = yard.launcher("hello");
    let mut shell = yard.prepare(Command::new("/bin/sh"));
    shell.args(["-c", "trap '' HUP; exec \"$0\""]).arg(launcher.get_program());
    let client = start(&mut shell);
    let mut call = running(&yard);
    client.signal(Signal::HUP);
    client.signal(Signal::INT);
    assert_eq!(call.receive::<Cancel>(), cancel_of(2));
    call.ended(0);
    assert_eq!(client.finish().code(), Some(0));
}

#[test]
fn output_that_nobody_reads_ends_it_quietly() {
    let yard = Yard::new();
    let mut client = start(&mut yard.launcher("hello"));
    client.close_stdout();
    let mut call = running(&yard);
    call.output(0, &[(Channel::Out, b"to nobody")]);
    let finished = client.finish();
    assert_eq!((finished.code(), finished.err().as_str()), (Some(141), ""));
    assert_eq!(call.receive::<Leave>(), Leave {});
    call.hung_up();
}

#[test]
fn output_that_nobody_reads_yet_does_not_make_it_deaf() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let mut call = running(&yard);
    let block = [b'x'; 60_000];
    let end = call.output(0, &[(Channel::Out, &block)]);
    let end = call.output(end, &[(Channel::Out, &block)]);
    client.signal(Signal::INT);
    assert_eq!(call.receive::<Cancel>(), cancel_of(2));
    call.output(end, &[(Channel::Out, b"end")]);
    call.ended(0);
    let finished = client.finish();
    assert_eq!((finished.code(), finished.stdout.len()), (Some(0), 120_003));
}

/// Takes a launch that runs, and waits until the client knows.
fn running(yard: &Yard) -> Call {
    use proto::message::hello::{Ping, Pong};
    let mut call = yard.run_launch();
    call.send(&Ping { nonce: 1 });
    let _pong: Pong = call.receive();
    call
}
