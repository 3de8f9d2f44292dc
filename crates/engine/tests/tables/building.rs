//! The steps of a build: what runs after what, and what it adds up to.

use attempt::{LostReason, Outcome, StopOrder};
use engine::BuildResult::{self, Cancelled, Exception, Failure, Success, Warnings};
use engine::NewChange;

use crate::yard::{End, SOURCE, Yard};

/// A yard with one worker and a running build `ci#1` of these steps.
pub(crate) fn building(steps: &str) -> Yard {
    let mut yard = Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1"] }}
builder.ci = {{ workers = ["all"], steps = [{steps}] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", builders = ["ci"] }}
"#
    ));
    yard.attach("w1", 1);
    yard.change(NewChange::default());
    yard
}

fn end(result: BuildResult, exit_code: u8, reason: &str) -> Option<End> {
    Some(End { result, exit_code, reason: reason.to_owned() })
}

#[test]
fn a_failed_step_does_what_on_failure_says() {
    let not_started = Outcome::NotStarted("cannot run /x/y: No such file".to_owned());
    let lost = Outcome::Lost(LostReason::Supervisor);
    let (time, memory) = ("step a took longer than its time limit", "step a ran out of memory");
    let processes = "step a was refused a process: it had as many as it may";
    let (absent, killed) = (
        "step a did not start: cannot run /x/y: No such file",
        "step a was lost: its supervisor was killed",
    );
    for (on_failure, outcome, goes_on, (result, exit_code, reason)) in [
        ("halt", Outcome::Exited(0), true, (Success, 0, "")),
        ("halt", Outcome::Exited(7), false, (Failure, 7, "")),
        ("halt", Outcome::Signal(9), false, (Failure, 137, "")),
        ("halt", Outcome::Timeout, false, (Failure, 124, time)),
        ("halt", Outcome::OutOfMemory, false, (Failure, 137, memory)),
        ("halt", Outcome::ProcessLimit, false, (Failure, 137, processes)),
        ("halt", not_started.clone(), false, (Failure, 126, absent)),
        ("halt", Outcome::Cancelled, false, (Cancelled, 130, "step a was cancelled")),
        ("halt", lost.clone(), false, (Exception, 74, killed)),
        ("continue", Outcome::Exited(0), true, (Success, 0, "")),
        ("continue", Outcome::Exited(7), true, (Failure, 7, "")),
        ("continue", Outcome::Signal(9), true, (Failure, 137, "")),
        ("continue", Outcome::Timeout, true, (Failure, 124, time)),
        ("continue", Outcome::OutOfMemory, true, (Failure, 137, memory)),
        ("continue", not_started.clone(), true, (Failure, 126, absent)),
        ("continue", Outcome::Cancelled, false, (Cancelled, 130, "step a was cancelled")),
        ("continue", lost.clone(), false, (Exception, 74, killed)),
        ("warn", Outcome::Exited(0), true, (Success, 0, "")),
        ("warn", Outcome::Exited(7), true, (Warnings, 0, "")),
        ("warn", Outcome::Signal(9), true, (Warnings, 0, "")),
        ("warn", Outcome::Timeout, true, (Warnings, 0, "")),
        ("warn", Outcome::OutOfMemory, true, (Warnings, 0, "")),
        ("warn", not_started, true, (Warnings, 0, "")),
        ("warn", Outcome::Cancelled, false, (Cancelled, 130, "step a was cancelled")),
        ("warn", lost, false, (Exception, 74, killed)),
    ] {
        let mut yard = building(&format!(
            "{{ name = \"a\", command = [\"a\"], on_failure = \"{on_failure}\" }}, \
             {{ name = \"b\", command = [\"b\"] }}, \
             {{ name = \"c\", command = [\"c\"], always_run = true }}"
        ));
        let shown = format!("{on_failure}, {outcome}");
        yard.ends("ci#1", outcome.clone());
        assert_eq!(yard.build("ci#1").steps[0].detail, outcome.to_string(), "words for programs");
        if goes_on {
            assert!(yard.steps("ci#1").ends_with("b running, c waiting"), "{shown}");
            yard.exits("ci#1", 0);
        } else {
            assert!(yard.steps("ci#1").ends_with("b SKIPPED, c running"), "{shown}");
        }
        yard.exits("ci#1", 0);
        assert!(yard.steps("ci#1").ends_with("c SUCCESS"), "{shown}");
        assert_eq!(yard.end_of("ci#1"), end(result, exit_code, reason), "{shown}");
    }
}

#[test]
fn the_worst_step_decides_and_of_equals_the_first() {
    let steps = r#"{ name = "a", command = ["a"], on_failure = "A" },
                   { name = "b", command = ["b"], on_failure = "B", always_run = true }"#;
    let lost = || Outcome::Lost(LostReason::Reboot);
    let step_b = "step b was lost: the worker's machine was restarted";
    for (a, b, first, second, expected) in [
        ("halt", "halt", Outcome::Exited(0), Outcome::Exited(2), end(Failure, 2, "")),
        ("halt", "halt", Outcome::Exited(1), Outcome::Exited(2), end(Failure, 1, "")),
        ("warn", "halt", Outcome::Exited(1), Outcome::Exited(2), end(Failure, 2, "")),
        ("warn", "warn", Outcome::Exited(1), Outcome::Exited(2), end(Warnings, 0, "")),
        ("continue", "warn", Outcome::Exited(1), Outcome::Exited(2), end(Failure, 1, "")),
        ("halt", "halt", Outcome::Exited(1), lost(), end(Exception, 74, step_b)),
        ("halt", "warn", Outcome::Cancelled, lost(), end(Cancelled, 130, "step a was cancelled")),
    ] {
        let mut yard = building(
            &steps.replace("\"A\"", &format!("\"{a}\"")).replace("\"B\"", &format!("\"{b}\"")),
        );
        let shown = format!("{a} {first}, {b} {second}");
        yard.ends("ci#1", first);
        yard.ends("ci#1", second);
        assert_eq!(yard.end_of("ci#1"), expected, "{shown}");
    }
}

#[test]
fn a_skipped_step_says_why_and_decides_nothing() {
    let mut yard = building("{ name = \"a\", script = \"a\" }, { name = \"b\", script = \"b\" }");
    yard.exits("ci#1", 3);
    assert_eq!(yard.steps("ci#1"), "a FAILURE, b SKIPPED");
    assert_eq!(yard.build("ci#1").steps[1].detail, "an earlier step ended the build");
    assert_eq!(yard.end_of("ci#1"), end(Failure, 3, ""));
}

#[test]
fn a_template_without_its_value_is_the_steps_exception() {
    let mut yard = building(
        "{ name = \"a\", command = [\"x\", \"${prop.level}\"] }, { name = \"b\", script = \"b\" }",
    );
    assert_eq!(yard.steps("ci#1"), "a EXCEPTION, b SKIPPED");
    let reason = "step a did not start: there is no `prop.level` here";
    assert_eq!(yard.end_of("ci#1"), end(Exception, 78, reason));
    assert!(yard.machine("w1").starts.is_empty());
}

/// The reasons that need no restored database.
const HERE: [LostReason; 4] =
    [LostReason::Supervisor, LostReason::Reboot, LostReason::Spool, LostReason::Forgotten];

/// Loses the running command of `ci#1` in one of the ways there are.
fn lose(yard: &mut Yard, reason: LostReason) {
    match reason {
        LostReason::Supervisor => return yard.ends("ci#1", Outcome::Lost(reason)),
        LostReason::Reboot => yard.lose("w1", |place| place.boot_id.push('+')),
        LostReason::Spool => yard.lose("w1", |place| place.spool_id.push('+')),
        LostReason::Forgotten => yard.lose("w1", |_| {}),
        LostReason::Restored => panic!("see the tests of restored backups"),
        LostReason::GivenUp => panic!("a worker does not give up"),
    }
    yard.detach("w1");
    yard.attach("w1", 1);
}

#[test]
fn a_lost_command_is_repeated_twice_where_that_is_safe() {
    for reason in HERE {
        let mut yard = building("{ name = \"a\", script = \"a\", retry_safe = true }");
        for attempt in 1..=2u32 {
            assert_eq!(yard.build("ci#1").steps[0].attempts, attempt);
            lose(&mut yard, reason);
            assert_eq!(yard.steps("ci#1"), "a running", "{reason:?} {attempt}");
        }
        lose(&mut yard, reason);
        assert_eq!(yard.steps("ci#1"), "a EXCEPTION", "{reason:?}");
        assert_eq!(yard.build("ci#1").steps[0].attempts, 3);
        let end = yard.end_of("ci#1").unwrap();
        assert_eq!((end.result, end.exit_code), (Exception, 74));
        let started: Vec<i64> =
            yard.machine("w1").starts.iter().map(|order| order.command.counter).collect();
        assert_eq!(started, [1, 2, 3], "each under an id of its own");
    }
}

#[test]
fn a_lost_command_is_not_repeated_where_that_is_not_safe() {
    for reason in HERE {
        let mut yard = building("{ name = \"a\", script = \"a\" }");
        lose(&mut yard, reason);
        assert_eq!(yard.end_of("ci#1").map(|end| end.result), Some(Exception), "{reason:?}");
        assert_eq!(yard.machine("w1").starts.len(), 1);
    }
}

#[test]
fn attempts_are_counted_over_restarts() {
    let mut yard = building("{ name = \"a\", script = \"a\", retry_safe = true }");
    for _ in 0..3 {
        yard.restart();
        yard.lose("w1", |place| place.boot_id.push('+'));
        yard.attach("w1", 1);
    }
    assert_eq!(yard.end_of("ci#1").map(|end| end.result), Some(Exception));
}

#[test]
fn only_what_was_lost_is_repeated() {
    for outcome in [Outcome::Exited(1), Outcome::Timeout, Outcome::NotStarted("x".to_owned())] {
        let mut yard = building("{ name = \"a\", script = \"a\", retry_safe = true }");
        yard.ends("ci#1", outcome);
        assert_eq!(yard.end_of("ci#1").map(|end| end.result), Some(Failure));
    }
    let mut yard = building("{ name = \"a\", script = \"a\", retry_safe = true }");
    yard.stop("ci#1", "not needed", StopOrder::KILL);
    lose(&mut yard, LostReason::Reboot);
    assert_eq!(yard.end_of("ci#1"), end(Cancelled, 74, "not needed"));
}
