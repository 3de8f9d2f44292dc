//! Calls of apps: acceptance, repetition, and callers who leave.

use attempt::{Outcome, StopOrder};
use engine::variable::Offered;
use engine::{
    Answer, BuildResult, Departure, Event, LaunchOffer, LaunchWait, NewChange, Offer, Submission,
};

use crate::yard::{ANN, End, SECOND, Yard, accepted, launch, refused};

const APPS: &str = r#"
worker.all = { names = ["w1"] }
app.tool = { builder = "tool", env = ["DISPLAY", "LC_*"] }
app.kept = { builder = "tool", on_disconnect = "keep" }
builder.tool = { workers = ["all"], steps = [{ command = ["tool", "${args}"] }] }
"#;

fn left() -> Option<End> {
    let reason = "its caller left".to_owned();
    Some(End { result: BuildResult::Cancelled, exit_code: 130, reason })
}

#[test]
fn a_request_that_nobody_follows_is_given_up_after_half_a_minute() {
    for (app, wait, is_given_up) in [
        ("tool", LaunchWait::Follow, true),
        ("tool", LaunchWait::Detach, false),
        ("kept", LaunchWait::Follow, false),
        ("kept", LaunchWait::Detach, false),
    ] {
        for restarts in [false, true] {
            let mut yard = Yard::new(APPS);
            let name = accepted(yard.call(app, wait)).requests[0].to_string();
            if restarts {
                // The caller gets its time again: it has to find the new master first.
                yard.wait(29 * SECOND);
                yard.restart();
            }
            yard.wait(30 * SECOND - 1);
            assert_eq!(yard.end_of(&name), None, "{app} {wait:?}");
            yard.wait(1);
            let expected = if is_given_up { left() } else { None };
            assert_eq!(yard.end_of(&name), expected, "{app} {wait:?} {restarts}");
        }
    }
}

#[test]
fn the_last_follower_who_leaves_takes_the_request_along() {
    let mut yard = Yard::new(APPS);
    for (app, is_given_up) in [("tool", true), ("kept", false)] {
        let name = yard.launch(app);
        let request = yard.id(&name);
        yard.happens(Event::FollowerCame { request });
        yard.happens(Event::FollowerCame { request });
        yard.wait(3_600 * SECOND);
        yard.happens(Event::FollowerLeft { request, departure: Departure::Farewell });
        yard.wait(3_600 * SECOND);
        assert!(yard.is_waiting(&name), "one follower is left");
        yard.happens(Event::FollowerLeft { request, departure: Departure::Farewell });
        assert_eq!(yard.end_of(&name), if is_given_up { left() } else { None }, "{app}");
        // Words about what has ended change nothing.
        yard.happens(Event::FollowerCame { request });
        yard.happens(Event::FollowerLeft { request, departure: Departure::Farewell });
    }
}

#[test]
fn a_follower_who_comes_back_after_a_restart_keeps_the_request() {
    let mut yard = Yard::new(APPS);
    let name = yard.launch("tool");
    let request = yard.id(&name);
    yard.happens(Event::FollowerCame { request });
    yard.restart();
    yard.wait(29 * SECOND);
    yard.happens(Event::FollowerCame { request });
    yard.wait(3_600 * SECOND);
    assert!(yard.is_waiting(&name));
}

#[test]
fn a_follower_who_did_not_say_farewell_has_time_to_come_back() {
    for (departure, time) in [(Departure::Closed, SECOND / 2), (Departure::Lost, 30 * SECOND)] {
        for comes_back in [false, true] {
            let mut yard = Yard::new(APPS);
            let name = yard.launch("tool");
            let request = yard.id(&name);
            yard.happens(Event::FollowerCame { request });
            yard.happens(Event::FollowerLeft { request, departure });
            yard.wait(time - 1);
            assert!(yard.is_waiting(&name), "{departure:?}");
            if comes_back {
                yard.happens(Event::FollowerCame { request });
            }
            yard.wait(1);
            let expected = if comes_back { None } else { left() };
            assert_eq!(yard.end_of(&name), expected, "{departure:?}");
        }
    }
}

#[test]
fn a_farewell_does_not_wait_for_those_who_were_lost_before() {
    let mut yard = Yard::new(APPS);
    let name = yard.launch("tool");
    let request = yard.id(&name);
    yard.happens(Event::FollowerCame { request });
    yard.happens(Event::FollowerLeft { request, departure: Departure::Lost });
    yard.happens(Event::FollowerCame { request });
    yard.happens(Event::FollowerLeft { request, departure: Departure::Farewell });
    assert_eq!(yard.end_of(&name), left());
}

#[test]
fn the_command_of_a_caller_who_left_is_hung_up() {
    let mut yard = Yard::new(APPS);
    yard.attach("w1", 1);
    let name = yard.launch("tool");
    let request = yard.id(&name);
    yard.happens(Event::FollowerCame { request });
    yard.happens(Event::FollowerLeft { request, departure: Departure::Farewell });
    let (command, _) = yard.command(&name);
    assert_eq!(yard.machine("w1").stops, [(command, StopOrder { signal: 1, grace_ms: 5_000 })]);
    yard.ends(&name, Outcome::Signal(1));
    let end = End { exit_code: 129, ..left().unwrap() };
    assert_eq!(yard.end_of(&name), Some(end));
}

#[test]
fn a_call_that_may_not_queue_starts_or_leaves_nothing() {
    let mut yard = Yard::new(APPS);
    let now = LaunchWait::StartNow;
    let before = yard.engine.durable().rows();
    assert_eq!(refused(yard.call("tool", now)), "would_queue", "no worker");
    assert_eq!(yard.engine.durable().rows(), before);
    yard.attach("w1", 1);
    let first = accepted(yard.call("tool", now)).requests[0].to_string();
    assert_eq!(yard.steps(&first), "command running");
    assert_eq!(refused(yard.call("tool", now)), "would_queue", "the worker is full");
    yard.exits(&first, 0);
    let second = accepted(yard.call("tool", now)).requests[0].to_string();
    let queued = yard.launch("kept");
    yard.detach("w1");
    yard.attach("w1", 2);
    assert_eq!(yard.steps(&queued), "command running");
    assert_eq!(refused(yard.call("tool", now)), "would_queue", "both places are taken");
    yard.exits(&second, 0);
    assert!(yard.names().len() == 3, "refused calls leave no request");
}

#[test]
fn a_call_that_may_not_queue_does_not_overtake() {
    let mut yard = Yard::new(&format!("{APPS}\nworker.other = {{ names = [\"w2\"] }}\n"));
    let queued = yard.launch("kept");
    // A worker that may not run it is of no use.
    yard.attach("w2", 4);
    assert_eq!(refused(yard.call("tool", LaunchWait::StartNow)), "would_queue");
    assert!(yard.is_waiting(&queued));
}

#[test]
fn arguments_pass_as_they_are_and_variables_as_the_app_allows() {
    let mut yard = Yard::new(APPS);
    yard.attach("w1", 1);
    yard.launch("tool");
    let order = &yard.machine("w1").starts[0];
    assert_eq!(order.argv, [b"tool".to_vec(), b"a b".to_vec(), vec![0xff]]);
    assert_eq!(order.env, [(b"DISPLAY".to_vec(), b":1".to_vec())]);
}

fn offer(app: &str, wait: LaunchWait, patterns: &[&str]) -> Submission {
    let patterns = patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
    let launch = LaunchOffer { offered: Offered::By(patterns), ..launch(app, wait) };
    Submission {
        principal: ANN.to_owned(),
        key: "k1".to_owned(),
        body: 5,
        offer: Offer::Launch(launch),
    }
}

fn wanted(answer: Answer) -> Vec<String> {
    let Answer::EnvWanted(patterns) = answer else { panic!("nothing more is wanted: {answer:?}") };
    patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect()
}

#[test]
fn a_client_that_did_not_look_for_a_variable_is_asked_and_nothing_is_taken() {
    let mut yard = Yard::new(APPS);
    let before = yard.engine.durable().rows();
    let follow = LaunchWait::Follow;
    for restarts in [false, true] {
        if restarts {
            yard.restart();
        }
        assert_eq!(wanted(yard.submit(offer("tool", follow, &["TERM"]))), ["DISPLAY", "LC_*"]);
        assert_eq!(wanted(yard.submit(offer("tool", follow, &["LC_*", "DISP"]))), ["DISPLAY"]);
        assert_eq!(yard.engine.durable().rows(), before);
    }
    let all = || offer("tool", follow, &["TERM", "DISPLAY", "LC_*"]);
    let first = accepted(yard.submit(all()));
    assert_eq!(accepted(yard.submit(all())), first, "the same launch, not asked again");
    let repeated = yard.submit(offer("tool", follow, &[]));
    assert_eq!(accepted(repeated), first, "what was taken is not asked about");
    assert_eq!(yard.names(), ["tool#1"]);
}

#[test]
fn nobody_is_asked_for_the_environment_of_what_is_refused_or_wants_none() {
    let mut yard = Yard::new(APPS);
    assert_eq!(refused(yard.submit(offer("toool", LaunchWait::Follow, &[]))), "unknown_app");
    assert_eq!(refused(yard.submit(offer("tool", LaunchWait::StartNow, &[]))), "would_queue");
    accepted(yard.submit(offer("kept", LaunchWait::Follow, &[])));
}

#[test]
fn what_decides_what_a_command_runs_is_not_the_callers_to_say() {
    let mut yard = Yard::new(&APPS.replace("[\"DISPLAY\", \"LC_*\"]", "[\"*\"]"));
    yard.attach("w1", 1);
    accepted(yard.submit(offer("tool", LaunchWait::Follow, &["*"])));
    let order = &yard.machine("w1").starts[0];
    assert_eq!(order.env, [(b"DISPLAY".to_vec(), b":1".to_vec())]);
}

#[test]
fn an_app_that_is_not_there_is_refused() {
    let mut yard = Yard::new(APPS);
    assert_eq!(refused(yard.call("toool", LaunchWait::Follow)), "unknown_app");
    assert!(yard.names().is_empty());
}

fn submission(principal: &str, key: &str, body: u64) -> Submission {
    let offer = Offer::Launch(launch("kept", LaunchWait::Follow));
    Submission { principal: principal.to_owned(), key: key.to_owned(), body, offer }
}

#[test]
fn a_key_stands_for_one_submission() {
    let mut yard = Yard::new(APPS);
    let first = yard.submit(submission(ANN, "k1", 5));
    assert_eq!(yard.submit(submission(ANN, "k1", 5)), first, "the same answer");
    assert_eq!(refused(yard.submit(submission(ANN, "k1", 6))), "key_reused");
    let change =
        Submission { offer: Offer::Change(NewChange::default()), ..submission(ANN, "k1", 7) };
    assert_eq!(refused(yard.submit(change)), "key_reused");
    assert_eq!(yard.names(), ["kept#1"]);
    accepted(yard.submit(submission("unix:here:1001", "k1", 6)));
    accepted(yard.submit(submission(ANN, "k2", 5)));
    assert_eq!(yard.names(), ["kept#1", "kept#2", "kept#3"]);
}

#[test]
fn a_repeated_key_gets_its_answer_although_the_request_has_ended() {
    let mut yard = Yard::new(APPS);
    yard.attach("w1", 1);
    let first = yard.submit(submission(ANN, "k1", 5));
    yard.exits("kept#1", 0);
    assert_eq!(yard.submit(submission(ANN, "k1", 5)), first);
}

#[test]
fn a_refused_submission_does_not_use_its_key_up() {
    let mut yard = Yard::new(APPS);
    let start_now = || Submission {
        offer: Offer::Launch(launch("tool", LaunchWait::StartNow)),
        ..submission(ANN, "k1", 5)
    };
    assert_eq!(refused(yard.submit(start_now())), "would_queue");
    yard.attach("w1", 1);
    accepted(yard.submit(start_now()));
}

#[test]
fn a_key_is_left_to_the_database_after_some_minutes_or_a_restart() {
    for restarts in [false, true] {
        let mut yard = Yard::new(APPS);
        let first = yard.submit(submission(ANN, "k1", 5));
        if restarts {
            yard.restart();
        } else {
            yard.wait(3_600 * SECOND);
        }
        // What the listener answers once it has found the row.
        assert_eq!(engine::repeat(&yard.keys["k1"], 5), first);
        assert_eq!(refused(engine::repeat(&yard.keys["k1"], 6)), "key_reused");
    }
}
