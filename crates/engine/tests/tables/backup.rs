//! A database restored from a backup: nothing that may have run is run again, no id comes twice.

use std::collections::BTreeSet;

use engine::BuildResult::{Exception, Success};
use engine::{Fate, LaunchWait, NewChange, Rows, Unfinished};
use proptest::prelude::*;

use crate::yard::{SECOND, SOURCE, Yard, accepted};

const STEPS: &str = r#"{ name = "a", script = "a", retry_safe = true, on_failure = "warn" },
    { name = "b", script = "b" }, { name = "c", script = "c", always_run = true }"#;

/// A yard with one worker of one place, whose `ci#1` runs its first step.
fn yard() -> Yard {
    let mut yard = Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1"] }}
builder.ci = {{ workers = ["all"], steps = [{STEPS}] }}
builder.late = {{ workers = ["all"], steps = [{{ script = "late" }}] }}
app.ci = {{ builder = "ci" }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", stable_timer = "60s", builders = ["late"] }}
"#
    ));
    yard.attach("w1", 1);
    assert_eq!(yard.launch("ci"), "ci#1");
    yard
}

fn backup(yard: &Yard) -> Rows {
    yard.engine.durable().rows()
}

fn assert_lost(yard: &Yard, name: &str) {
    let end = yard.end_of(name).unwrap_or_else(|| panic!("{name} has not ended"));
    assert_eq!((end.result, end.exit_code), (Exception, 74), "{name}");
    assert!(end.reason.contains("restored from a backup"), "{}", end.reason);
}

#[test]
fn a_command_that_still_runs_goes_on_to_its_end() {
    let mut yard = yard();
    let backup = backup(&yard);
    yard.restore_backup(backup, Unfinished::End);
    yard.attach("w1", 1);
    // The connection is lost, and the end is told when the worker comes back.
    yard.detach("w1");
    yard.exits("ci#1", 0);
    yard.attach("w1", 1);
    assert_eq!(yard.steps("ci#1"), "a SUCCESS, b running, c waiting");
    yard.exits("ci#1", 0);
    yard.exits("ci#1", 0);
    assert_eq!(yard.end_of("ci#1").map(|end| end.result), Some(Success));
    assert_eq!(yard.machine("w1").starts.len(), 3);
    assert_eq!(yard.disowned, []);
}

#[test]
fn what_ended_since_is_lost_with_all_that_followed() {
    type Since = fn(&mut Yard);
    let ended_at_the_worker: Since = |yard| {
        yard.detach("w1");
        yard.exits("ci#1", 0);
    };
    let forgotten: Since = |yard| yard.exits("ci#1", 0);
    let whole_build: Since = |yard| (0..3).for_each(|_| yard.exits("ci#1", 0));
    for (since, killed) in [(ended_at_the_worker, 0), (forgotten, 1), (whole_build, 0)] {
        let mut yard = yard();
        let backup = backup(&yard);
        since(&mut yard);
        let started = yard.machine("w1").starts.len();
        yard.restore_backup(backup, Unfinished::End);
        yard.attach("w1", 1);
        assert_lost(&yard, "ci#1");
        assert_eq!(yard.steps("ci#1"), "a EXCEPTION, b SKIPPED, c SKIPPED");
        assert_eq!(yard.machine("w1").starts.len(), started, "nothing is run again");
        assert_eq!(yard.disowned.len(), killed);
        assert!(yard.disowned.iter().all(|(_, fate)| *fate == Fate::Killed));
        assert_eq!(yard.machine("w1").stops.len(), killed);
    }
}

#[test]
fn a_command_whose_start_was_not_answered_is_not_sent_again() {
    let mut yard = yard();
    yard.exits("ci#1", 0);
    yard.machine("w1").is_deaf = true;
    yard.exits("ci#1", 0);
    let backup = backup(&yard);
    yard.machine("w1").is_deaf = false;
    let started = yard.machine("w1").starts.len();
    yard.restore_backup(backup, Unfinished::End);
    yard.attach("w1", 1);
    assert_lost(&yard, "ci#1");
    assert_eq!(yard.machine("w1").starts.len(), started);
}

#[test]
fn the_queue_and_the_timers_of_a_backup_end_or_run_as_wanted() {
    for (unfinished, runs) in [(Unfinished::End, false), (Unfinished::Run, true)] {
        let mut yard = yard();
        // Nobody has to follow it.
        assert_eq!(accepted(yard.call("ci", LaunchWait::Detach)).requests[0].to_string(), "ci#2");
        yard.change(NewChange::default());
        let backup = backup(&yard);
        yard.restore_backup(backup, unfinished);
        yard.now.boot_us += 61 * SECOND;
        yard.happens(engine::Event::Due);
        assert_eq!(yard.names().iter().any(|name| name.starts_with("late#")), runs);
        if runs {
            assert!(yard.is_waiting("ci#2"));
        } else {
            assert_lost(&yard, "ci#2");
            assert_eq!(yard.engine.durable().requests().count(), 1, "the one at the worker");
        }
    }
}

#[test]
fn a_build_between_two_steps_ends() {
    let mut yard = yard();
    yard.detach("w1");
    yard.exits("ci#1", 0);
    let mut backup = backup(&yard);
    // As it is when the end of a step is committed while its worker is away.
    let build = &mut backup.builds[0];
    build.steps[0].state = engine::row::StepState::Waiting;
    backup.commands.clear();
    yard.restore_backup(backup, Unfinished::End);
    assert_lost(&yard, "ci#1");
    yard.attach("w1", 1);
    assert_eq!(yard.machine("w1").starts.len(), 1);
}

#[test]
fn no_id_and_no_number_is_given_out_twice() {
    let mut yard = yard();
    let backup = backup(&yard);
    let counters: Vec<_> = backup.counters.clone();
    let first = yard.command("ci#1").0;
    yard.restore_backup(backup, Unfinished::End);
    for before in counters {
        let rows = yard.engine.durable().rows();
        let after = rows.counters.iter().find(|counter| counter.name == before.name).unwrap();
        assert_eq!(after.value, before.value + 1_000_000, "{}", before.name);
    }
    yard.lose("w1", |_| {});
    yard.attach("w1", 1);
    assert_eq!(yard.launch("ci"), "ci#1000002");
    let second = yard.command("ci#1000002").0;
    assert_ne!(second.incarnation, first.incarnation);
    assert_eq!(second.counter, first.counter + 1_000_001);
    assert!(matches!(yard.call("ci", LaunchWait::Detach), engine::Answer::Accepted(_)));
}

#[test]
fn what_the_database_does_not_know_is_killed_or_discarded() {
    let mut yard = yard();
    let backup = Rows::default();
    yard.restore_backup(backup.clone(), Unfinished::End);
    yard.attach("w1", 1);
    let fates: Vec<Fate> = yard.disowned.iter().map(|(_, fate)| *fate).collect();
    assert_eq!((fates, yard.machine("w1").stops.len()), (vec![Fate::Killed], 1));
    let mut other = self::yard();
    other.detach("w1");
    other.exits("ci#1", 0);
    other.restore_backup(backup, Unfinished::End);
    other.attach("w1", 1);
    let fates: Vec<Fate> = other.disowned.iter().map(|(_, fate)| *fate).collect();
    assert_eq!((fates, other.machine("w1").forgotten.len()), (vec![Fate::Discarded], 1));
}

/// What may happen between backups and restores.
#[derive(Debug, Clone)]
enum Happening {
    Launch,
    Ends { which: usize, code: i32 },
    ComesOrGoes,
    IsDeafOrHears,
    MasterRestarts,
    Backup,
    Restore,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => Just(Happening::Launch),
        8 => (0..4_usize, 0..2_i32).prop_map(|(which, code)| Happening::Ends { which, code }),
        3 => Just(Happening::ComesOrGoes),
        1 => Just(Happening::IsDeafOrHears),
        1 => Just(Happening::MasterRestarts),
        1 => Just(Happening::Backup),
        1 => Just(Happening::Restore),
    ]
}

/// A yard whose steps carry what was launched, and may go on after a failure.
fn witnessed() -> Yard {
    let mut yard = Yard::new(
        r#"
worker.all = { names = ["w1"] }
app.job = { builder = "job" }
[builder.job]
workers = ["all"]
steps = [
  { name = "a", command = ["a", "${args}"], on_failure = "continue" },
  { name = "b", command = ["b", "${args}"] },
  { name = "c", command = ["c", "${args}"], always_run = true },
]
"#,
    );
    yard.attach("w1", 2);
    yard
}

fn lets(yard: &mut Yard, happening: &Happening, launched: &mut u32, backup: &mut Option<Rows>) {
    match happening {
        Happening::Launch => {
            *launched += 1;
            yard.call_with("job", launched.to_string());
        }
        Happening::Ends { which, code } => yard.one_ends("w1", *which, *code),
        Happening::ComesOrGoes if yard.is_attached("w1") => yard.detach("w1"),
        Happening::ComesOrGoes => drop(yard.attach("w1", 2)),
        Happening::IsDeafOrHears => {
            let machine = yard.machine("w1");
            machine.is_deaf = !machine.is_deaf;
        }
        Happening::MasterRestarts => yard.restart(),
        Happening::Backup => *backup = Some(self::backup(yard)),
        Happening::Restore => {
            if let Some(rows) = backup.clone() {
                yard.restore_backup(rows, Unfinished::End);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_happens_around_a_restore_no_step_runs_twice(
        happenings in proptest::collection::vec(happening(), 1..80)
    ) {
        let (mut yard, mut launched, mut backup) = (witnessed(), 0, None);
        for happening in &happenings {
            lets(&mut yard, happening, &mut launched, &mut backup);
            let starts = &yard.machine("w1").starts;
            let ran: BTreeSet<_> = starts.iter().map(|order| &order.argv).collect();
            prop_assert_eq!(ran.len(), starts.len(), "{:?}", starts.last());
            let ids: BTreeSet<_> = starts.iter().map(|order| order.command).collect();
            prop_assert_eq!(ids.len(), starts.len());
        }
    }
}
