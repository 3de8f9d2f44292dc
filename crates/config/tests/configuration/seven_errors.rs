//! What an administrator sees: everything that is wrong, in one run.

use config::{Code, Severity, Style, render, to_json};
use serde_json::Value;

use crate::schema::{check, file};

const TEXT: &str = r#"version = 1
web.listen = "127.0.0.1:8010"
scheduler.push = { type = "any_brunch", builders = ["ci"] }
scheduler.deploy = { type = "any_branch", builders = ["deploi"] }

[builder.ci]
command = ["make", "BRANCH=${change.brunch}"]
timeout = 20
on_failure = "wran"

[builder.deploy]
comand = ["deploy"]
command = ["größe", "${args}"]
"#;

#[test]
fn seven_errors_are_told_in_one_run() {
    let files = [file("yard.toml", TEXT)];
    let problems = check(&files);
    let codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect();
    let expected = [
        Code::NotYet,
        Code::UnknownType,
        Code::UnknownName,
        Code::BadTemplate,
        Code::BadDuration,
        Code::OutOfRange,
        Code::UnknownKey,
    ];
    assert_eq!(codes, expected);
    assert_eq!(render(&problems, &files, Style::Plain), include_str!("seven_errors.txt"));
}

#[test]
fn editors_get_the_same_with_places_they_understand() {
    let files = [file("yard.toml", TEXT)];
    let told: Value = serde_json::from_str(&to_json(&check(&files), &files)).unwrap();
    let expected: Value = serde_json::from_str(include_str!("seven_errors.json")).unwrap();
    assert_eq!(told, expected, "told:\n{told:#}");
}

#[test]
fn characters_are_counted_as_editors_count_them() {
    let files = [file("yard.toml", "version = 1\nbuilder.a = { command = [\"🦀ö\"], x = 1 }\n")];
    let json = to_json(&check(&files), &files);
    // The crab is two UTF-16 units: the key stands at 0-based character 33.
    assert!(json.contains(r#""start":{"character":33,"line":1}"#), "{json}");
}

#[test]
fn what_nobody_uses_is_only_told_where_nothing_is_wrong() {
    let unused = "version = 1\nbuilder.lonely = { command = [\"true\"] }\n";
    let [problem] = &check(&[file("yard.toml", unused)])[..] else { panic!("one warning") };
    assert_eq!((problem.code, problem.severity()), (Code::Unused, Severity::Warning));
    let broken = format!("{unused}what = 1\n");
    let [problem] = &check(&[file("yard.toml", &broken)])[..] else { panic!("one error") };
    assert_eq!(problem.code, Code::UnknownKey);
}

#[test]
fn a_key_of_a_later_version_stands_for_what_is_missing() {
    let forward = "version = 1\nbuilder.a = { forward = { peers = [\"east\"] } }\n";
    let [problem] = &check(&[file("yard.toml", forward)])[..] else { panic!("one error") };
    assert_eq!(
        (problem.code, problem.message.as_str()),
        (Code::NotYet, "`forward` is not in this version")
    );
}

#[test]
fn names_that_meet_over_files_are_told_with_both_places() {
    let builder = "builder.a = { command = [\"true\"] }\n";
    let files = [file("yard.toml", &format!("version = 1\n{builder}")), file("more.toml", builder)];
    let problems = check(&files);
    let text = render(&problems, &files, Style::Plain);
    let [problem] = &problems[..] else { panic!("{text}") };
    assert_eq!(problem.code, Code::Duplicate);
    assert!(text.contains("--> more.toml:1:9") && text.contains("::: yard.toml:2:9"), "{text}");
}
