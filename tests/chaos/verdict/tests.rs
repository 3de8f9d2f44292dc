//! The check sees what was doctored, and nothing else.

use super::*;
use crate::evidence::{Kill, Log, Witness};
use crate::job::Launch;

const COMMAND: &str = "0a";
const KILL: Kill = Kill { at_us: 0, is_whole: true };

/// One job with an exit code of 3, told, run and logged as it should be.
fn clean(app: App) -> Evidence {
    let mut launch = Launch::draw(1, 1);
    (launch.app, launch.mode, launch.job.exit) = (app, Mode::Follow, 3);
    let job = launch.job.clone();
    let name = format!("{}#1", app.name());
    let request = Request {
        id: 5,
        name: name.clone(),
        job: Some(job.clone()),
        is_attended: app == App::Attended,
        result: Some("FAILURE".to_owned()),
        exit_code: Some(3),
    };
    let told =
        Told { launch, code: Some(3), request: Some(name), out: Came::Whole, words: String::new() };
    Evidence {
        told: vec![told],
        requests: vec![request],
        commands: vec![command(COMMAND, "exited(3)")],
        witnesses: [(COMMAND.to_owned(), Witness { job: Some(job), end: Some(3) })].into(),
        ..Evidence::default()
    }
}

fn command(id: &str, outcome: &str) -> Command {
    Command {
        id: id.to_owned(),
        request: 5,
        worker: "w1".to_owned(),
        outcome: Some(outcome.to_owned()),
        ended_us: Some(1),
        log: Log { out: Came::Whole, err: Came::Whole, flaws: Vec::new() },
    }
}

/// The same job, lost with its supervisor, which we killed.
fn lost(app: App) -> Evidence {
    let mut evidence = clean(app);
    evidence.told[0].code = Some(74);
    evidence.told[0].out = Came::Beginning;
    evidence.requests[0].exit_code = Some(74);
    evidence.commands[0] = command(COMMAND, "lost(supervisor)");
    evidence.commands[0].log.out = Came::Beginning;
    evidence.killed.insert(COMMAND.to_owned(), KILL);
    evidence.witnesses.get_mut(COMMAND).unwrap().end = None;
    evidence
}

fn kinds(doctored: &Evidence) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = judge(doctored).iter().map(|finding| finding.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Doctors a clean piece of evidence and says what is seen.
fn doctored(doctor: impl FnOnce(&mut Evidence)) -> Vec<Kind> {
    let mut evidence = clean(App::Kept);
    doctor(&mut evidence);
    kinds(&evidence)
}

#[test]
fn what_is_as_it_should_be_is_clean() {
    for app in [App::Attended, App::Kept, App::Repeated] {
        assert_eq!(judge(&clean(app)), []);
        assert_eq!(judge(&lost(app)), []);
    }
}

#[test]
fn a_lost_request_is_seen() {
    assert!(doctored(|e| e.requests.clear()).contains(&Kind::Lost));
    assert_eq!(doctored(|e| e.requests[0].result = None), [Kind::Lost]);
    assert!(doctored(|e| e.commands[0].outcome = None).contains(&Kind::Lost));
    assert!(doctored(|e| e.commands.clear()).contains(&Kind::Lost));
    assert_eq!(doctored(|e| e.told[0].request = Some("kept#2".to_owned())), [Kind::Lost]);
}

#[test]
fn a_command_that_is_said_to_be_lost_needs_somebody_who_killed_it() {
    let mut evidence = lost(App::Kept);
    evidence.killed.clear();
    assert_eq!(kinds(&evidence), [Kind::Lost]);
    let mut evidence = lost(App::Kept);
    evidence.commands[0].outcome = Some("lost(forgotten)".to_owned());
    assert!(kinds(&evidence).contains(&Kind::Lost));
}

#[test]
fn only_a_machine_that_was_switched_off_loses_commands_by_that() {
    for outcome in ["lost(reboot)", "lost(supervisor)"] {
        let mut evidence = lost(App::Kept);
        evidence.killed.clear();
        evidence.commands[0].outcome = Some(outcome.to_owned());
        assert!(kinds(&evidence).contains(&Kind::Lost), "{outcome}");
        evidence.reboots = 1;
        assert_eq!(kinds(&evidence), [], "{outcome}");
        evidence.commands[0].worker = "w2".to_owned();
        assert!(kinds(&evidence).contains(&Kind::Lost), "{outcome}");
    }
}

#[test]
fn only_a_disk_that_failed_loses_supervisors_by_that() {
    let mut evidence = lost(App::Kept);
    evidence.killed.clear();
    evidence.failed_in_spool = 1;
    assert_eq!(kinds(&evidence), [Kind::Lost]);
    evidence.commands[0].worker = "w2".to_owned();
    assert_eq!(kinds(&evidence), []);
}

#[test]
fn a_commit_is_found_once() {
    let found = |changes: &[&str]| {
        let changes = changes.iter().map(|&change| change.to_owned()).collect();
        doctored(|e| (e.pushed, e.changes) = (vec!["c".to_owned()], changes))
    };
    assert_eq!(found(&["c"]), []);
    assert_eq!(found(&[]), [Kind::Lost]);
    assert_eq!(found(&["c", "c"]), [Kind::Twice]);
}

#[test]
fn a_second_run_is_seen() {
    assert_eq!(doctored(|e| e.twice.push(COMMAND.to_owned())), [Kind::Twice]);
    assert_eq!(
        doctored(|e| e.commands.insert(0, command("09", "exited(3)"))),
        [Kind::Twice, Kind::Wrong]
    );
    let again = |e: &mut Evidence| {
        let mut second = e.requests[0].clone();
        (second.id, second.name) = (6, "kept#2".to_owned());
        e.requests.push(second);
    };
    assert!(doctored(again).contains(&Kind::Twice));
}

#[test]
fn only_what_is_safe_to_repeat_runs_again_after_a_loss() {
    for (app, expected) in [(App::Repeated, &[][..]), (App::Kept, &[Kind::Twice])] {
        let mut evidence = clean(app);
        let mut first = lost(app);
        first.commands[0].id = "09".to_owned();
        evidence.commands.insert(0, first.commands.remove(0));
        evidence.killed.insert("09".to_owned(), KILL);
        assert_eq!(kinds(&evidence), expected, "{app:?}");
    }
}

#[test]
fn a_wrong_outcome_is_seen() {
    assert_eq!(doctored(|e| e.requests[0].exit_code = Some(0)), [Kind::Wrong]);
    assert_eq!(doctored(|e| e.told[0].code = Some(0)), [Kind::Wrong]);
    assert!(
        doctored(|e| e.commands[0].outcome = Some("exited(0)".to_owned())).contains(&Kind::Wrong)
    );
    assert!(
        doctored(|e| e.commands[0].outcome = Some("signal(9)".to_owned())).contains(&Kind::Wrong)
    );
    assert_eq!(doctored(|e| e.witnesses.get_mut(COMMAND).unwrap().end = None), [Kind::Wrong]);
    assert_eq!(doctored(|e| e.panics.push("it panicked".to_owned())), [Kind::Wrong]);
}

#[test]
fn a_command_is_cancelled_only_for_a_caller_that_was_killed() {
    let cancelled = |app| {
        let mut evidence = lost(app);
        evidence.commands[0].outcome = Some("signal(1)".to_owned());
        evidence.told[0].request = None;
        evidence.told[0].code = None;
        evidence
    };
    assert_eq!(kinds(&cancelled(App::Attended)), []);
    assert_eq!(kinds(&cancelled(App::Kept)), [Kind::Wrong]);
    let mut evidence = cancelled(App::Attended);
    evidence.told[0].code = Some(74);
    assert!(kinds(&evidence).contains(&Kind::Wrong));
}

#[test]
fn a_command_that_ran_another_job_is_seen() {
    let other = Launch::draw(1, 2).job;
    let witness = |job| move |e: &mut Evidence| e.witnesses.get_mut(COMMAND).unwrap().job = job;
    assert_eq!(doctored(witness(Some(other))), [Kind::Wrong]);
    let mut evidence = lost(App::Kept);
    witness(None)(&mut evidence);
    assert_eq!(kinds(&evidence), [], "it was killed before it could say");
}

#[test]
fn a_gap_in_a_log_is_seen() {
    assert_eq!(doctored(|e| e.commands[0].log.out = Came::Beginning), [Kind::Gap]);
    assert_eq!(doctored(|e| e.commands[0].log.err = Came::Other), [Kind::Gap]);
    assert_eq!(doctored(|e| e.commands[0].log.flaws.push("a flaw".to_owned())), [Kind::Gap]);
    assert_eq!(doctored(|e| e.told[0].out = Came::Beginning), [Kind::Gap]);
    let mut evidence = lost(App::Kept);
    evidence.commands[0].log.out = Came::Other;
    assert_eq!(kinds(&evidence), [Kind::Gap]);
}

#[test]
fn a_spawner_that_was_killed_excuses_one_command_that_did_not_start() {
    let mut evidence = lost(App::Kept);
    evidence.commands[0].outcome = Some("not_started(no supervisor)".to_owned());
    evidence.killed.clear();
    evidence.witnesses.clear();
    assert_eq!(kinds(&evidence), [Kind::Wrong]);
    evidence.spawners_killed = 1;
    assert_eq!(kinds(&evidence), []);
    let mut second = evidence.commands[0].clone();
    second.id = "0b".to_owned();
    evidence.commands.push(second);
    assert!(kinds(&evidence).contains(&Kind::Wrong));
}
