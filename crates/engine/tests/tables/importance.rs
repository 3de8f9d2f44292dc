//! Important changes, and those that go along.

use engine::NewChange;

use crate::yard::{SECOND, SOURCE, Yard};

fn yard(keys: &str) -> Yard {
    Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1"] }}
builder.ci = {{ workers = ["all"], steps = [{{ command = ["true"] }}] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", builders = ["ci"], {keys} }}
"#
    ))
}

fn change(files: &[&str]) -> NewChange {
    on("main", files)
}

fn on(branch: &str, files: &[&str]) -> NewChange {
    let files = files.iter().map(|file| file.as_bytes().to_vec()).collect();
    NewChange { branch: Some(branch.to_owned()), files, ..NewChange::default() }
}

/// How many changes each request stands for.
fn sizes(yard: &Yard) -> Vec<usize> {
    yard.requests.values().map(|request| request.changes.len()).collect()
}

const SRC: &str = "important_files = [\"src/**\", \"Cargo.*\"]";

#[test]
fn a_change_is_important_by_one_of_its_files_or_by_naming_none() {
    for (files, is_important) in [
        (&["src/a.rs"][..], true),
        (&["docs/a.md", "src/deep/er/a.rs"], true),
        (&["Cargo.toml"], true),
        (&["docs/a.md"], false),
        (&["x/src/a.rs", "x/Cargo.toml"], false),
        (&[], true),
    ] {
        let mut yard = yard(SRC);
        let made = yard.change(change(files)).requests.len();
        assert_eq!(made, usize::from(is_important), "{files:?}");
    }
    let mut yard = yard("stable_timer = \"0s\"");
    assert_eq!(yard.change(change(&["docs/a.md"])).schedulers, ["push"], "all are, by default");
}

/// Behaviour 10.
#[test]
fn without_a_timer_an_important_change_is_one_buildset_and_another_is_none() {
    let mut yard = yard(SRC);
    let accepted = yard.change(change(&["docs/a.md"]));
    assert!(accepted.requests.is_empty() && accepted.schedulers.is_empty());
    yard.change(change(&["src/a.rs"]));
    assert_eq!(sizes(&yard), [1], "what came before does not go along");
}

/// Behaviour 11.
#[test]
fn important_unimportant_important_is_one_buildset_of_three() {
    let mut yard = yard(&format!("{SRC}, stable_timer = \"10s\""));
    yard.change(change(&["src/a.rs"]));
    yard.wait(8 * SECOND);
    assert_eq!(yard.change(change(&["docs/a.md"])).schedulers, ["push"]);
    yard.wait(8 * SECOND);
    assert_eq!(sizes(&yard), [0usize; 0], "it has started the timer anew");
    yard.change(change(&["src/b.rs"]));
    yard.wait(10 * SECOND - 1);
    assert_eq!(sizes(&yard), [0usize; 0]);
    yard.wait(1);
    assert_eq!(sizes(&yard), [3]);
    yard.wait(60 * SECOND);
    assert_eq!(sizes(&yard), [3], "exactly one");
}

/// Behaviour 12.
#[test]
fn an_unimportant_change_goes_along_with_those_of_its_own_branch_alone() {
    let mut yard = yard(&format!("{SRC}, stable_timer = \"10s\""));
    yard.change(on("main", &["src/a.rs"]));
    assert!(yard.change(on("dev", &["docs/a.md"])).schedulers.is_empty(), "no timer runs there");
    yard.change(on("main", &["docs/a.md"]));
    yard.wait(10 * SECOND);
    assert_eq!(sizes(&yard), [2]);
}

/// Behaviour 13.
#[test]
fn a_timer_survives_a_restart_with_its_passengers_and_only_important_has_none() {
    for (keys, size) in [("", 3), (", only_important = true", 2)] {
        let mut yard = yard(&format!("{SRC}, stable_timer = \"10s\"{keys}"));
        yard.change(change(&["src/a.rs"]));
        yard.change(change(&["docs/a.md"]));
        yard.change(change(&["src/b.rs"]));
        yard.restart();
        yard.wait(5 * SECOND);
        yard.change(change(&["docs/b.md"]));
        yard.wait(5 * SECOND);
        if keys.is_empty() {
            assert_eq!(sizes(&yard), [0usize; 0], "a passenger starts the timer anew");
            yard.wait(5 * SECOND);
            assert_eq!(sizes(&yard), [size + 1]);
        } else {
            assert_eq!(sizes(&yard), [size], "what is not important does not even delay");
        }
    }
}
