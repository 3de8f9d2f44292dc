//! A build is ended although its worker is away: at once, and without freeing what may still be
//! in use there.

use attempt::{LostReason, Outcome, StopOrder, View};
use engine::BuildResult::{Cancelled, Exception, Success};
use engine::row::StepState;
use engine::{Abandoned, Answer, Blocker, Event, NewChange, Standing};

use crate::yard::{End, SOURCE, Yard, named, refused};

const KILL: StopOrder = StopOrder::KILL;

fn configuration(workers: &str) -> String {
    format!(
        r#"
worker.all = {{ names = [{workers}] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", builders = ["ci"] }}
[builder.ci]
workers = ["all"]
steps = [
  {{ name = "a", command = ["a"], retry_safe = true }},
  {{ name = "clean", command = ["c"], always_run = true }},
]
"#
    )
}

/// A yard whose worker `w1` runs `ci#1` and is away.
fn away() -> Yard {
    let mut yard = Yard::new(&configuration("\"w1\""));
    yard.attach("w1", 1);
    yard.change(NewChange::default());
    yard.detach("w1");
    yard
}

fn request(yard: &Yard, name: &str) -> Abandoned {
    Abandoned::Request(yard.id(name))
}

fn give_up(yard: &mut Yard, name: &str) -> Vec<String> {
    let abandoned = request(yard, name);
    yard.give_up(abandoned)
}

fn lost(step: &str) -> Option<End> {
    let reason = format!("step {step} was lost: worker w1 was given up by ann");
    Some(End { result: Exception, exit_code: 74, reason })
}

#[test]
fn a_build_ends_at_once_and_nothing_more_of_it_is_started() {
    for is_stopped in [false, true] {
        let mut yard = away();
        if is_stopped {
            yard.stop("ci#1", "not needed", StopOrder { signal: 15, grace_ms: 1_000 });
        }
        assert_eq!(give_up(&mut yard, "ci#1"), ["ci#1 on w1"]);
        assert_eq!(yard.steps("ci#1"), "a EXCEPTION, clean SKIPPED");
        assert_eq!(yard.build("ci#1").steps[0].detail, "lost(given_up)");
        assert_eq!(yard.end_of("ci#1"), lost("a"));
        assert_eq!(give_up(&mut yard, "ci#1"), [""; 0], "it has ended");
    }
}

#[test]
fn a_worker_that_returns_with_it_kills_it_before_its_place_is_free() {
    for restarts in [false, true] {
        let mut yard = away();
        let (command, worker) = yard.command("ci#1");
        give_up(&mut yard, "ci#1");
        if restarts {
            yard.restart();
        }
        yard.change(NewChange::default());
        let stamp = yard.attach("w1", 1);
        assert_eq!(yard.machine("w1").stops, [(command, KILL)]);
        assert!(yard.is_waiting("ci#2"), "the only place is not free");
        assert_eq!(yard.engine.kept_places(&worker), 1);
        let view = View::Ended { outcome: Outcome::Signal(9), log_bytes: 7, properties: None };
        yard.machine("w1").commands.insert(command, view.clone());
        let report = attempt::ToMaster { command, view };
        yard.happens(Event::Reported { worker: worker.clone(), stamp, report });
        assert_eq!(yard.machine("w1").forgotten, [command], "its log was taken");
        assert_eq!(yard.engine.kept_places(&worker), 0);
        assert_eq!(yard.steps("ci#2"), "a running, clean waiting");
        assert_eq!(yard.end_of("ci#1"), lost("a"), "what is over stays so");
    }
}

#[test]
fn a_worker_that_returns_without_it_has_its_place_free_at_once() {
    for edit in [
        (|_| {}) as fn(&mut attempt::Place),
        |place| place.boot_id.push('+'),
        |place| place.spool_id.push('+'),
    ] {
        let mut yard = away();
        give_up(&mut yard, "ci#1");
        yard.lose("w1", edit);
        yard.change(NewChange::default());
        yard.attach("w1", 1);
        assert_eq!(yard.steps("ci#2"), "a running, clean waiting");
        assert!(yard.machine("w1").stops.is_empty());
        assert_eq!(yard.end_of("ci#1"), lost("a"));
    }
}

#[test]
fn a_command_that_ended_meanwhile_changes_nothing_any_more() {
    let mut yard = away();
    let (command, _) = yard.command("ci#1");
    yard.exits("ci#1", 0);
    give_up(&mut yard, "ci#1");
    yard.attach("w1", 1);
    assert_eq!(yard.machine("w1").forgotten, [command]);
    assert_eq!(yard.end_of("ci#1"), lost("a"));
}

#[test]
fn a_worker_that_is_there_is_told_to_kill_and_keeps_the_place_until_it_has() {
    let mut yard = away();
    yard.attach("w1", 1);
    let (command, _) = yard.command("ci#1");
    assert_eq!(give_up(&mut yard, "ci#1"), ["ci#1 on w1"]);
    assert_eq!(yard.machine("w1").stops, [(command, KILL)]);
    yard.change(NewChange::default());
    assert!(yard.is_waiting("ci#2"));
}

#[test]
fn all_that_a_worker_holds_is_given_up_in_one_go() {
    let mut yard = Yard::new(&configuration("\"w1\", \"w2\""));
    yard.attach("w1", 2);
    for _ in 0..4 {
        yard.change(NewChange::default());
    }
    yard.exits("ci#2", 0);
    yard.detach("w1");
    assert_eq!(yard.give_up(Abandoned::Worker(named("w1"))), ["ci#1 on w1", "ci#2 on w1"]);
    assert_eq!((yard.end_of("ci#1"), yard.end_of("ci#2")), (lost("a"), lost("clean")));
    assert_eq!(yard.give_up(Abandoned::Worker(named("w1"))), [""; 0]);
    assert!(yard.is_waiting("ci#3"), "what waits was not given to it");
    yard.attach("w2", 1);
    assert!(!yard.is_waiting("ci#3"));
}

#[test]
fn a_build_between_two_steps_ends_too_and_leaves_nothing_behind() {
    let mut yard = away();
    // As if the master had ended after the first step, before it chose the next command.
    let mut rows = yard.engine.durable().rows();
    rows.commands.clear();
    let exit = engine::result::Exit::Own(0);
    rows.builds[0].steps[0].state = StepState::Done { result: Success, exit };
    yard.restart_with(rows);
    assert_eq!(give_up(&mut yard, "ci#1"), ["ci#1"]);
    let reason = "worker w1 was given up by ann".to_owned();
    assert_eq!(yard.end_of("ci#1"), Some(End { result: Exception, exit_code: 74, reason }));
    assert_eq!(yard.steps("ci#1"), "a SUCCESS, clean SKIPPED");
}

#[test]
fn a_request_that_waits_leaves_the_queue() {
    let mut yard = Yard::new(&configuration("\"w1\""));
    yard.change(NewChange::default());
    assert_eq!(give_up(&mut yard, "ci#1"), ["ci#1"]);
    assert_eq!(yard.end_of("ci#1").map(|end| end.result), Some(Cancelled));
}

#[test]
fn the_log_is_sealed_as_it_is_once_the_configuration_lacks_the_worker() {
    let mut yard = away();
    let (command, _) = yard.command("ci#1");
    give_up(&mut yard, "ci#1");
    yard.restart();
    assert_eq!(yard.engine.durable().commands().count(), 1, "its worker may come back");
    yard.restart_as(&configuration("\"w2\""));
    assert_eq!(yard.engine.durable().commands().count(), 0);
    let lost = Outcome::Lost(LostReason::GivenUp);
    assert_eq!(yard.commands[&command].half.outcome(), Some(&lost));
}

#[test]
fn a_worker_nobody_knows_is_a_mistake() {
    let mut yard = away();
    let (ticket, abandoned) = (yard.ticket(), Abandoned::Worker(named("w9")));
    yard.happens(Event::GiveUpWanted { ticket, abandoned, reason: String::new() });
    let answer: Answer = yard.answer(ticket);
    assert_eq!(refused(answer), "unknown_worker");
}

#[test]
fn a_worker_that_comes_back_after_it_was_removed_gets_nothing_before_it_has_ended_what_it_had() {
    let mut yard = away();
    let given_up = yard.give_up(Abandoned::Request(yard.id("ci#1")));
    assert_eq!(given_up, ["ci#1 on w1"]);
    // A start without the worker writes its command off; then the worker is configured again.
    yard.restart_as(&configuration("\"w2\""));
    yard.restart_as(&configuration("\"w1\""));
    yard.change(NewChange::default());
    yard.attach("w1", 1);
    let ending = vec![Blocker::WorkerEnding { worker: named("w1") }];
    assert_eq!(yard.standing("ci#2"), Some(Standing::Waiting { place: 1, blockers: ending }));
    assert_eq!(yard.machine("w1").stops.len(), 1, "it is killed");
    yard.one_ends("w1", 0, 0);
    assert!(!yard.is_waiting("ci#2"));
}
