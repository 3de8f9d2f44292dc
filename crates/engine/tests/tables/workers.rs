//! Workers that come, go and come back.

use attempt::{CommandId, Outcome, StopOrder, ToMaster, View};
use engine::BuildResult::{Exception, Success};
use engine::{Event, NewChange, Standing};

use crate::yard::{SOURCE, Yard, named};

/// A yard whose worker runs the first of two steps of `ci#1`.
fn running() -> Yard {
    let mut yard = Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1", "w2"] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", builders = ["ci"] }}
[builder.ci]
workers = ["all"]
steps = [{{ name = "a", command = ["a"] }}, {{ name = "b", command = ["b"] }}]
"#
    ));
    yard.attach("w1", 1);
    yard.change(NewChange::default());
    yard
}

fn is_attached(yard: &Yard) -> bool {
    let Some(Standing::Running { away, .. }) = yard.standing("ci#1") else { panic!("ci#1 runs") };
    away.is_none()
}

#[test]
fn a_command_is_adopted_by_whatever_comes_back() {
    for restarts in [false, true] {
        let mut yard = running();
        let before = yard.command("ci#1");
        if restarts {
            yard.restart();
        } else {
            yard.detach("w1");
        }
        assert!(!is_attached(&yard));
        assert_eq!(yard.steps("ci#1"), "a running, b waiting");
        yard.attach("w1", 1);
        assert!(is_attached(&yard));
        assert_eq!(yard.command("ci#1"), before);
        assert_eq!(yard.machine("w1").starts.len(), 1, "it is not started again");
        yard.exits("ci#1", 0);
        yard.exits("ci#1", 0);
        assert_eq!(yard.end_of("ci#1").map(|end| end.result), Some(Success));
    }
}

#[test]
fn a_command_that_ended_meanwhile_is_told_at_the_attach() {
    let mut yard = running();
    let (command, _) = yard.command("ci#1");
    yard.restart();
    yard.exits("ci#1", 0);
    assert_eq!(yard.steps("ci#1"), "a running, b waiting");
    yard.attach("w1", 1);
    assert_eq!(yard.steps("ci#1"), "a SUCCESS, b running");
    assert_eq!(yard.machine("w1").forgotten, [command], "its log is safe");
}

#[test]
fn a_command_that_did_not_arrive_is_sent_again_to_the_same_place_alone() {
    for (edit, arrives) in [
        (None, true),
        (Some((|place| place.boot_id.push('+')) as fn(&mut attempt::Place)), false),
        (Some(|place| place.spool_id.push('+')), false),
    ] {
        let mut yard = running();
        yard.exits("ci#1", 0);
        yard.exits("ci#1", 0);
        yard.machine("w1").is_deaf = true;
        yard.change(NewChange::default());
        let (command, _) = yard.command("ci#2");
        yard.detach("w1");
        yard.machine("w1").is_deaf = false;
        if let Some(edit) = edit {
            yard.lose("w1", edit);
        }
        yard.attach("w1", 1);
        let last = yard.machine("w1").starts.last().map(|order| order.command);
        assert_eq!(last == Some(command), arrives);
        let end = yard.end_of("ci#2").map(|end| end.result);
        assert_eq!(end, if arrives { None } else { Some(Exception) });
    }
}

#[test]
fn another_worker_does_not_take_a_build_over() {
    let mut yard = running();
    yard.detach("w1");
    yard.attach("w2", 1);
    assert!(yard.machine("w2").starts.is_empty());
    assert!(!is_attached(&yard));
}

#[test]
fn an_older_connection_counts_for_nothing() {
    let mut yard = running();
    let (command, worker) = yard.command("ci#1");
    let old = yard.attach("w1", 1);
    yard.attach("w1", 1);
    let view = View::Ended { outcome: Outcome::Exited(1), log_bytes: 0, properties: None };
    let report = ToMaster { command, view };
    yard.happens(Event::Reported { worker: worker.clone(), stamp: old, report });
    yard.happens(Event::WorkerLost { worker, stamp: old });
    assert!(is_attached(&yard));
    assert_eq!(yard.steps("ci#1"), "a running, b waiting");
}

#[test]
fn a_worker_speaks_for_its_own_commands_alone() {
    let mut yard = running();
    let (command, _) = yard.command("ci#1");
    let stamp = yard.attach("w2", 1);
    let view = View::Ended { outcome: Outcome::Exited(1), log_bytes: 0, properties: None };
    let report = ToMaster { command, view };
    yard.happens(Event::Reported { worker: named("w2"), stamp, report });
    assert_eq!(yard.steps("ci#1"), "a running, b waiting");
    assert!(yard.machine("w2").stops.is_empty() && yard.machine("w2").forgotten.is_empty());
}

#[test]
fn a_command_nobody_knows_is_killed_and_then_forgotten() {
    let mut yard = running();
    let command = CommandId { incarnation: 99, counter: 1 };
    let worker = named("w1");
    let stamp = yard.attach("w1", 1);
    let report = ToMaster { command, view: View::Running };
    yard.happens(Event::Reported { worker: worker.clone(), stamp, report });
    assert_eq!(yard.machine("w1").stops, [(command, StopOrder::KILL)]);
    let view = View::Ended { outcome: Outcome::Signal(9), log_bytes: 0, properties: None };
    yard.happens(Event::Reported { worker, stamp, report: ToMaster { command, view } });
    assert_eq!(yard.machine("w1").forgotten, [command]);
}
