//! Launches that wait in a queue.

use proto::message::launch::{Cancel, Cancelled, Launch, Stage, Wait};

use rustix::process::Signal;

use crate::master::Yard;
use crate::process::start;

#[test]
fn a_start_at_once_is_not_worth_a_word() {
    let yard = Yard::new();
    let client = start(&mut yard.launcher("hello"));
    let (mut call, _) = yard.accept_launch();
    call.progress(Stage::Queued, 1, "a worker is being asked");
    call.progress(Stage::Running, 0, "on w1");
    call.ended(0);
    assert_eq!(client.finish().err(), "");
}

#[test]
fn a_wait_is_told_once_and_so_is_its_end() {
    let yard = Yard::new();
    let mut client = start(&mut yard.launcher("hello"));
    let (mut call, _) = yard.accept_launch();
    call.progress(Stage::Queued, 3, "no worker\x1b[2J is free");
    let first = "hello: queued as hello#1, 3rd in line: no worker[2J is free\n";
    assert_eq!(client.hears(), first);
    call.progress(Stage::Queued, 2, "no worker is free");
    call.progress(Stage::Running, 0, "on w1");
    call.ended(0);
    let finished = client.finish();
    let said: Vec<_> = finished.err().lines().map(str::to_owned).collect();
    assert_eq!(said.len(), 2, "{finished:?}");
    assert!(said[1].starts_with("hello: started on w1 after "), "{finished:?}");
}

#[test]
fn a_caller_that_does_not_wait_says_so() {
    let yard = Yard::new();
    let client = start(yard.launcher("hello").env("CHANGEPORT_WAIT", "no"));
    let mut call = yard.welcome();
    assert_eq!(call.receive::<Launch>().wait, Wait::StartNow);
    call.refuse("would_queue");
    assert_eq!(client.finish().code(), Some(75));
}

#[test]
fn a_caller_out_of_patience_leaves_the_queue() {
    let yard = Yard::new();
    let client = start(yard.launcher("hello").env("CHANGEPORT_WAIT", "200ms"));
    let (mut call, launch) = yard.accept_launch();
    assert_eq!(launch.wait, Wait::Follow);
    call.progress(Stage::Queued, 2, "busy");
    assert!(call.receive::<Cancel>().only_queued);
    call.send(&Cancelled {
        request: "hello#1".to_owned(),
        stage: Stage::Queued,
        detail: String::new(),
    });
    let finished = client.finish();
    assert_eq!(finished.code(), Some(75));
    let last = "hello: left the queue: it did not start within 200ms; \
                try later, or: changeport submit hello\n";
    assert!(finished.err().ends_with(last), "{finished:?}");
}

#[test]
fn a_caller_out_of_patience_follows_what_has_just_started() {
    let yard = Yard::new();
    let client = start(yard.launcher("hello").env("CHANGEPORT_WAIT", "200ms"));
    let (mut call, _) = yard.accept_launch();
    call.progress(Stage::Queued, 1, "busy");
    assert!(call.receive::<Cancel>().only_queued);
    call.send(&Cancelled {
        request: "hello#1".to_owned(),
        stage: Stage::Running,
        detail: String::new(),
    });
    call.progress(Stage::Running, 0, "on w1");
    call.ended(4);
    assert_eq!(client.finish().code(), Some(4));
}

#[test]
fn a_term_counts_for_more_than_lost_patience() {
    let yard = Yard::new();
    let client = start(yard.launcher("hello").env("CHANGEPORT_WAIT", "200ms"));
    let (mut call, _) = yard.accept_launch();
    assert!(call.receive::<Cancel>().only_queued);
    client.signal(Signal::TERM);
    let Cancel { signal, only_queued, .. } = call.receive();
    assert_eq!((signal, only_queued), (15, false));
    call.ended(143);
    assert_eq!(client.finish().code(), Some(143));
}

#[test]
fn patience_is_for_the_start_and_not_for_the_run() {
    let yard = Yard::new();
    let client = start(yard.launcher("hello").env("CHANGEPORT_WAIT", "1ms"));
    let mut call = yard.welcome();
    let _launch: Launch = call.receive();
    call.send(&crate::master::accepted());
    call.progress(Stage::Running, 0, "on w1");
    call.ended(4);
    assert_eq!(client.finish().code(), Some(4));
}
