//! Builds at once: as many as a worker and its group allow, each in a place of its own.

use std::collections::BTreeSet;
use std::fs;

use e2e::{Yard, wait_until};

/// Builds say where they are and wait for a gate of their number.
fn waiting_builds(yard: &Yard) -> String {
    let folder = yard.path("").display().to_string();
    format!(
        r#"
app.slow = {{ builder = "slow" }}
[builder.slow]
workers = ["local"]
steps = [{{ name = "slow", script = '''
pwd
echo here > mine-$NUMBER
echo up >&2
until test -e {folder}/gate-$NUMBER; do sleep 0.02; done
ls mine-*
''', env = {{ NUMBER = "${{build.number}}" }} }}]
"#
    )
}

fn submit(yard: &Yard, number: usize) {
    let submitted = yard.changeport(&["submit", "slow"]);
    assert_eq!(submitted.out(), format!("slow#{number}\n"), "{}", submitted.err());
}

fn wait_until_up(yard: &Yard, number: usize) {
    let build = format!("slow#{number}");
    wait_until(&format!("{build} to run"), || {
        let logs = yard.master(&["logs", &build]);
        logs.err().contains("up\n").then_some(())
    });
}

fn open_gate(yard: &Yard, number: usize) {
    fs::write(yard.path(&format!("gate-{number}")), "").expect("the yard is ours");
}

fn end(yard: &Yard, number: usize) {
    open_gate(yard, number);
    let waited = yard.changeport(&["wait", &format!("slow#{number}")]);
    assert_eq!(waited.code(), 0, "{}", waited.err());
}

/// Returns the directory a build ran in.
fn directory(yard: &Yard, number: usize) -> String {
    let log = String::from_utf8(yard.log_of(&format!("slow#{number}"))).expect("it is text");
    log.lines().next().expect("it says where it is").to_owned()
}

/// Returns what keeps a build now, without how long it has waited so far.
fn keeps(yard: &Yard, build: &str) -> String {
    let why = yard.master(&["why", build]).out();
    let rest = why.strip_prefix(&format!("{build} has not started because:\n"));
    let reasons = rest.unwrap_or_else(|| panic!("it says why: {why}")).split_inclusive('\n');
    reasons.filter(|line| !line.contains("✓ waited")).collect()
}

/// Runs one build more than there are places, and looks where each of them is.
fn assert_places(yard: &Yard, places: usize) {
    for number in 1..=places + 2 {
        submit(yard, number);
    }
    for number in 1..=places {
        wait_until_up(yard, number);
    }
    let directories: BTreeSet<String> = (1..=places).map(|n| directory(yard, n)).collect();
    assert_eq!(directories.len(), places, "{directories:?}");
    let (first, second) = (format!("slow#{}", places + 1), format!("slow#{}", places + 2));
    let holders: Vec<String> = (1..=places).map(|number| format!("slow#{number}")).collect();
    let full = format!("worker w1 is full ({places} of {places}: {})", holders.join(", "));
    assert_eq!(keeps(yard, &first), format!("  ✗ worker  {full}\n"));
    assert_eq!(keeps(yard, &second), format!("  ✗ worker  {full}\n  ✗ queue  1 ahead of it\n"));
    let status = yard.changeport(&["status", &second]).out();
    assert_eq!(status, format!("{second} is queued, place 2; {full}\n"));
    end(yard, 1);
    wait_until_up(yard, places + 1);
    assert_eq!(directory(yard, places + 1), directory(yard, 1), "the free place is taken");
    let why = yard.ask(&["why", &second]).remove(0);
    let reasons = why["reasons"].as_array().expect("it says why");
    let what: Vec<_> = reasons.iter().map(|reason| &reason["what"]).collect();
    let keeping: Vec<_> = what.into_iter().filter(|what| *what != "waited").collect();
    assert_eq!(keeping, ["worker"], "nobody is ahead: {why}");
    for number in 2..=places + 2 {
        end(yard, number);
    }
    let log = String::from_utf8_lossy(&yard.log_of("slow#2")).into_owned();
    let files: Vec<&str> = log.lines().filter(|line| line.starts_with("mine-")).collect();
    assert_eq!(files, ["mine-2"], "nobody else wrote there");
    let status = yard.ask(&["status"]).remove(0);
    assert_eq!((&status["running"], &status["waiting"]), (&0.into(), &0.into()));
}

#[test]
fn a_worker_runs_as_many_builds_at_once_as_it_says() {
    let yard = Yard::new("");
    yard.configure(&waiting_builds(&yard));
    let _master = yard.start_master();
    yard.configure_worker("max_builds = 3\n");
    let _worker = yard.start_configured_worker();
    assert_places(&yard, 3);
}

#[test]
fn a_worker_runs_no_more_builds_at_once_than_its_group_allows() {
    let yard = Yard::new("");
    yard.configure(&waiting_builds(&yard));
    let text = fs::read_to_string(yard.path("master.toml")).expect("the yard is ours");
    yard.write("master.toml", &text.replace("max_builds = 8", "max_builds = 2"));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_places(&yard, 2);
}

#[test]
fn places_are_still_taken_after_a_restart_of_the_master() {
    let yard = Yard::new("");
    yard.configure(&waiting_builds(&yard));
    let master = yard.start_master();
    yard.configure_worker("max_builds = 1\n");
    let _worker = yard.start_configured_worker();
    submit(&yard, 1);
    submit(&yard, 2);
    wait_until_up(&yard, 1);
    master.kill();
    let mut master = yard.start_master();
    master.wait_for("worker w1 attached");
    wait_until("the one place to be taken again", || {
        let why = yard.master(&["why", "slow#2"]).out();
        why.contains("worker w1 is full (1 of 1: slow#1)").then_some(())
    });
    assert!(!yard.master(&["logs", "slow#2"]).err().contains("up"));
    end(&yard, 1);
    end(&yard, 2);
}
