//! Buildbot's result algebra, spelled out: what each result of a step means for its build under
//! every combination of its flags.
//!
//! The tables were written down from Buildbot's rules, not from ours.

use attempt::{LostReason, Outcome};
use engine::BuildResult;
use engine::result::{Effect, Flags, effect};

use crate::building::building;

/// A row for each combination of flags: of a failure `halt`, `flunk`, `warn`, of warnings `flunk`,
/// `warn`. A column for each result of the step, in Buildbot's order of numbers: what it adds to the
/// build, and `!` where only steps that always run may follow.
const EFFECTS: &str = "\
.... ..... .... ..... .... | SUCCESS    SUCCESS    SUCCESS    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... ..... .... ..... WARN | SUCCESS    WARNINGS   SUCCESS    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... ..... .... FLUNK .... | SUCCESS    FAILURE    SUCCESS    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... ..... .... FLUNK WARN | SUCCESS    FAILURE    SUCCESS    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... ..... warn ..... .... | SUCCESS    SUCCESS    WARNINGS   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... ..... warn ..... WARN | SUCCESS    WARNINGS   WARNINGS   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... ..... warn FLUNK .... | SUCCESS    FAILURE    WARNINGS   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... ..... warn FLUNK WARN | SUCCESS    FAILURE    WARNINGS   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... flunk .... ..... .... | SUCCESS    SUCCESS    FAILURE    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... flunk .... ..... WARN | SUCCESS    WARNINGS   FAILURE    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... flunk .... FLUNK .... | SUCCESS    FAILURE    FAILURE    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... flunk .... FLUNK WARN | SUCCESS    FAILURE    FAILURE    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... flunk warn ..... .... | SUCCESS    SUCCESS    FAILURE    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... flunk warn ..... WARN | SUCCESS    WARNINGS   FAILURE    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... flunk warn FLUNK .... | SUCCESS    FAILURE    FAILURE    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
.... flunk warn FLUNK WARN | SUCCESS    FAILURE    FAILURE    SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt ..... .... ..... .... | SUCCESS    SUCCESS    SUCCESS!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt ..... .... ..... WARN | SUCCESS    WARNINGS   SUCCESS!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt ..... .... FLUNK .... | SUCCESS    FAILURE    SUCCESS!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt ..... .... FLUNK WARN | SUCCESS    FAILURE    SUCCESS!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt ..... warn ..... .... | SUCCESS    SUCCESS    WARNINGS!  SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt ..... warn ..... WARN | SUCCESS    WARNINGS   WARNINGS!  SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt ..... warn FLUNK .... | SUCCESS    FAILURE    WARNINGS!  SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt ..... warn FLUNK WARN | SUCCESS    FAILURE    WARNINGS!  SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt flunk .... ..... .... | SUCCESS    SUCCESS    FAILURE!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt flunk .... ..... WARN | SUCCESS    WARNINGS   FAILURE!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt flunk .... FLUNK .... | SUCCESS    FAILURE    FAILURE!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt flunk .... FLUNK WARN | SUCCESS    FAILURE    FAILURE!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt flunk warn ..... .... | SUCCESS    SUCCESS    FAILURE!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt flunk warn ..... WARN | SUCCESS    WARNINGS   FAILURE!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt flunk warn FLUNK .... | SUCCESS    FAILURE    FAILURE!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!
halt flunk warn FLUNK WARN | SUCCESS    FAILURE    FAILURE!   SKIPPED    EXCEPTION! RETRY!     CANCELLED!";

/// The worse of two, a row and a column for each result.
const WORST: &str = "\
SUCCESS   | SUCCESS   WARNINGS  FAILURE   SUCCESS   EXCEPTION RETRY     CANCELLED
WARNINGS  | WARNINGS  WARNINGS  FAILURE   WARNINGS  EXCEPTION RETRY     CANCELLED
FAILURE   | FAILURE   FAILURE   FAILURE   FAILURE   EXCEPTION RETRY     CANCELLED
SKIPPED   | SUCCESS   WARNINGS  FAILURE   SKIPPED   EXCEPTION RETRY     CANCELLED
EXCEPTION | EXCEPTION EXCEPTION EXCEPTION EXCEPTION EXCEPTION RETRY     CANCELLED
RETRY     | RETRY     RETRY     RETRY     RETRY     RETRY     RETRY     CANCELLED
CANCELLED | CANCELLED CANCELLED CANCELLED CANCELLED CANCELLED CANCELLED CANCELLED";

/// The flags as keys of a step, in the order of the rows.
const KEYS: [&str; 5] = [
    "halt_on_failure",
    "flunk_on_failure",
    "warn_on_failure",
    "flunk_on_warnings",
    "warn_on_warnings",
];

/// Reads the rows of a table.
fn rows(table: &str) -> Vec<(&str, Vec<&str>)> {
    let row = |line| -> (&str, Vec<&str>) {
        let (head, cells): (&str, &str) = str::split_once(line, " | ").expect("a row has a head");
        let cells: Vec<&str> = cells.split_whitespace().collect();
        assert_eq!(cells.len(), BuildResult::ALL.len(), "{line}");
        (head, cells)
    };
    table.lines().map(row).collect()
}

fn result(word: &str) -> BuildResult {
    BuildResult::from_word(word).expect("the tables hold Buildbot's words")
}

/// Reads a cell: what is added, and whether the build is over.
fn cell(text: &str) -> (BuildResult, bool) {
    (result(text.trim_end_matches('!')), text.ends_with('!'))
}

fn flags_of(head: &str) -> [bool; 5] {
    let set: Vec<bool> = head.split(' ').map(|word| !word.starts_with('.')).collect();
    set.try_into().expect("there are five flags")
}

/// How a command ends so that its step has a result; nothing of a worker makes a build RETRY.
fn outcome(result: BuildResult) -> Option<Outcome> {
    match result {
        BuildResult::Success => Some(Outcome::Exited(0)),
        BuildResult::Warnings => Some(Outcome::Exited(3)),
        BuildResult::Failure => Some(Outcome::Exited(1)),
        BuildResult::Skipped => Some(Outcome::Exited(77)),
        BuildResult::Exception => Some(Outcome::Lost(LostReason::Supervisor)),
        BuildResult::Cancelled => Some(Outcome::Cancelled),
        BuildResult::Retry => None,
    }
}

/// Behaviour 38.
#[test]
fn a_step_means_for_its_build_what_buildbot_says() {
    let table = rows(EFFECTS);
    assert_eq!(table.len(), 32, "every combination of five flags");
    for (head, cells) in table {
        let [
            halt_on_failure,
            flunk_on_failure,
            warn_on_failure,
            flunk_on_warnings,
            warn_on_warnings,
        ] = flags_of(head);
        let flags = Flags {
            halt_on_failure,
            flunk_on_failure,
            flunk_on_warnings,
            warn_on_failure,
            warn_on_warnings,
        };
        for (step, text) in BuildResult::ALL.into_iter().zip(cells) {
            let (adds, ends_build) = cell(text);
            // A build begins as a success, to which a skipped step adds nothing.
            let adds = (adds != BuildResult::Skipped).then_some(adds);
            assert_eq!(effect(flags, step), Effect { adds, ends_build }, "{head}: {step}");
            runs(flags_of(head), step, adds.unwrap_or(BuildResult::Success), ends_build);
        }
    }
}

/// The same in a build: after the step in question one follows, and one that always runs.
fn runs(flags: [bool; 5], step: BuildResult, expected: BuildResult, ends_build: bool) {
    let Some(outcome) = outcome(step) else { return };
    let keys: Vec<String> =
        KEYS.iter().zip(flags).map(|(key, is_set)| format!("{key} = {is_set}")).collect();
    let shown = format!("{step}: {}", keys.join(", "));
    let mut yard = building(&format!(
        "{{ name = \"a\", command = [\"a\"], exit_codes = {{ 3 = \"warnings\", 77 = \"skipped\" }}, {} }}, \
         {{ name = \"b\", command = [\"b\"] }}, \
         {{ name = \"c\", command = [\"c\"], always_run = true }}",
        keys.join(", ")
    ));
    yard.ends("ci#1", outcome);
    let b = if ends_build {
        "SKIPPED"
    } else {
        yard.exits("ci#1", 0);
        "SUCCESS"
    };
    assert_eq!(yard.steps("ci#1"), format!("a {step}, b {b}, c running"), "{shown}");
    yard.exits("ci#1", 0);
    assert_eq!(yard.end_of("ci#1").map(|end| end.result), Some(expected), "{shown}");
}

#[test]
fn the_worst_of_two_results_is_buildbots() {
    for (head, cells) in rows(WORST) {
        let one = result(head.trim_end());
        for (other, text) in BuildResult::ALL.into_iter().zip(cells) {
            assert_eq!(one.worst(other), result(text), "{one} and {other}");
        }
    }
}

#[test]
fn on_failure_is_a_word_for_three_flags_and_each_flag_can_differ() {
    for (keys, code, expected) in [
        ("", 1, "a FAILURE, b SKIPPED"),
        ("on_failure = \"continue\"", 1, "a FAILURE, b running"),
        ("on_failure = \"warn\", halt_on_failure = true", 1, "a FAILURE, b SKIPPED"),
        ("halt_on_failure = false", 1, "a FAILURE, b running"),
        ("exit_codes = { 1 = \"success\" }", 1, "a SUCCESS, b running"),
        ("exit_codes = { 0 = \"failure\" }", 0, "a FAILURE, b SKIPPED"),
        ("exit_codes = { 9 = \"exception\" }", 9, "a EXCEPTION, b SKIPPED"),
        ("exit_codes = { 9 = \"skipped\" }", 1, "a FAILURE, b SKIPPED"),
    ] {
        let comma = if keys.is_empty() { "" } else { ", " };
        let mut yard = building(&format!(
            "{{ name = \"a\", command = [\"a\"]{comma}{keys} }}, {{ name = \"b\", command = [\"b\"] }}"
        ));
        yard.exits("ci#1", code);
        assert_eq!(yard.steps("ci#1"), expected, "{keys}");
    }
}
