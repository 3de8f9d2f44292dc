//! A stop, wherever the request is.

use attempt::{Outcome, StopOrder};
use engine::BuildResult::Cancelled;
use engine::row::{StepProgress, StepState};
use engine::{Absence, NewChange, StopScope, Stopped};

use crate::yard::{End, SECOND, SOURCE, Yard, named};

const TERM: StopOrder = StopOrder { signal: 15, grace_ms: 10_000 };
const WHY: &str = "not needed";

/// A yard with one request, `ci#1`.
fn yard() -> Yard {
    let mut yard = Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1"] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", builders = ["ci"] }}
[builder.ci]
workers = ["all"]
steps = [
  {{ name = "a", command = ["a"] }},
  {{ name = "b", command = ["b"] }},
  {{ name = "clean", command = ["c"], always_run = true }},
]
"#
    ));
    yard.change(NewChange::default());
    yard
}

fn cancelled(exit_code: u8) -> Option<End> {
    Some(End { result: Cancelled, exit_code, reason: WHY.to_owned() })
}

#[test]
fn a_waiting_request_leaves_the_queue() {
    let mut yard = yard();
    assert_eq!(yard.stop("ci#1", WHY, TERM), Stopped::Waiting);
    assert_eq!(yard.end_of("ci#1"), cancelled(130));
    yard.attach("w1", 1);
    assert!(yard.machine("w1").starts.is_empty());
}

#[test]
fn a_running_command_is_told_to_end_and_only_what_always_runs_follows() {
    for (outcome, exit_code) in
        [(Outcome::Signal(15), 143), (Outcome::Exited(0), 0), (Outcome::Cancelled, 130)]
    {
        let mut yard = yard();
        yard.attach("w1", 1);
        let (command, _) = yard.command("ci#1");
        assert_eq!(yard.stop("ci#1", WHY, TERM), Stopped::Running);
        assert_eq!(yard.machine("w1").stops, [(command, TERM)]);
        assert_eq!(yard.steps("ci#1"), "a running, b waiting, clean waiting");
        yard.ends("ci#1", outcome.clone());
        assert_eq!(yard.steps("ci#1"), "a CANCELLED, b SKIPPED, clean running");
        yard.exits("ci#1", 0);
        assert_eq!(yard.end_of("ci#1"), cancelled(exit_code), "{outcome}");
    }
}

#[test]
fn a_stop_of_what_waits_leaves_alone_what_runs() {
    let mut yard = yard();
    yard.change(NewChange::default());
    yard.attach("w1", 1);
    assert_eq!(yard.stop_in(StopScope::Queue, "ci#1", WHY, TERM), Stopped::Spared);
    assert!(yard.machine("w1").stops.is_empty());
    assert_eq!(yard.build("ci#1").stop_reason, None);
    assert_eq!(yard.stop_in(StopScope::Queue, "ci#2", WHY, TERM), Stopped::Waiting);
    assert_eq!(yard.end_of("ci#2"), cancelled(130));
    assert_eq!(yard.stop_in(StopScope::Queue, "ci#2", WHY, TERM), Stopped::Done);
}

#[test]
fn a_command_whose_worker_is_away_is_told_when_it_comes_back() {
    let mut yard = yard();
    yard.attach("w1", 1);
    let (command, _) = yard.command("ci#1");
    yard.detach("w1");
    let since = Absence::Since(yard.now.wall_us);
    yard.wait(SECOND);
    let away = Stopped::Away { worker: named("w1"), since };
    assert_eq!(yard.stop("ci#1", WHY, TERM), away);
    assert!(yard.machine("w1").stops.is_empty());
    yard.restart();
    yard.attach("w1", 1);
    assert_eq!(yard.machine("w1").stops, [(command, TERM)]);
}

#[test]
fn a_command_that_never_arrived_is_never_started() {
    let mut yard = yard();
    yard.machine("w1").is_deaf = true;
    yard.attach("w1", 1);
    assert_eq!(yard.stop("ci#1", WHY, TERM), Stopped::Running);
    yard.machine("w1").is_deaf = false;
    yard.detach("w1");
    yard.attach("w1", 1);
    assert_eq!(yard.steps("ci#1"), "a CANCELLED, b SKIPPED, clean running");
    let started: Vec<_> =
        yard.machine("w1").starts.iter().map(|order| order.argv[0].clone()).collect();
    assert_eq!(started, [b"c"]);
    yard.exits("ci#1", 0);
    assert_eq!(yard.end_of("ci#1"), cancelled(130));
}

#[test]
fn a_build_between_two_steps_goes_on_at_once_although_its_worker_is_away() {
    let mut yard = yard();
    yard.attach("w1", 1);
    yard.exits("ci#1", 0);
    // As if the master had ended after the first step, before it chose the next command.
    let mut rows = yard.engine.durable().rows();
    rows.commands.clear();
    rows.builds[0].steps[1] = StepProgress::waiting();
    yard.lose("w1", |_| {});
    yard.restart_with(rows);
    let since = Absence::SinceStart(yard.now.wall_us);
    assert_eq!(yard.stop("ci#1", WHY, TERM), Stopped::Away { worker: named("w1"), since });
    let states: Vec<StepState> = yard.build("ci#1").steps.iter().map(|step| step.state).collect();
    assert!(matches!(states[1], StepState::Done { .. }), "{states:?}");
    assert_eq!(yard.steps("ci#1"), "a SUCCESS, b SKIPPED, clean waiting");
    yard.attach("w1", 1);
    yard.exits("ci#1", 0);
    assert_eq!(yard.end_of("ci#1"), cancelled(130));
}

#[test]
fn a_step_that_always_runs_is_stopped_too() {
    let mut yard = yard();
    yard.attach("w1", 1);
    yard.exits("ci#1", 1);
    assert_eq!(yard.steps("ci#1"), "a FAILURE, b SKIPPED, clean running");
    assert_eq!(yard.stop("ci#1", WHY, TERM), Stopped::Running);
    yard.ends("ci#1", Outcome::Signal(15));
    assert_eq!(yard.end_of("ci#1"), cancelled(143));
}

#[test]
fn a_second_stop_may_be_harder_and_does_not_change_the_reason() {
    let mut yard = yard();
    yard.attach("w1", 1);
    let (command, _) = yard.command("ci#1");
    yard.stop("ci#1", WHY, TERM);
    yard.stop("ci#1", "hurry", StopOrder::KILL);
    assert_eq!(yard.machine("w1").stops, [(command, TERM), (command, StopOrder::KILL)]);
    yard.ends("ci#1", Outcome::Signal(9));
    yard.exits("ci#1", 0);
    assert_eq!(yard.end_of("ci#1"), cancelled(137));
}

#[test]
fn what_has_ended_stays_as_it_is() {
    let mut yard = yard();
    yard.stop("ci#1", WHY, TERM);
    assert_eq!(yard.stop("ci#1", "again", TERM), Stopped::Done);
    assert_eq!(yard.end_of("ci#1"), cancelled(130));
}
