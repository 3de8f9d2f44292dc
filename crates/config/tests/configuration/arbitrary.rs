//! No text makes reading panic, and every problem lies in the text it is about.

use config::{Diagnostic, SourceFile, Style, render, to_json};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::schema::{check, file};

const VALID: &str = r#"# ümlaut
version = 1
listen = "127.0.0.1:8010"
data = "./data"
labels = { a = 1, "b.c" = 2 }
scheduler.push = { type = "any_branch", builders = ["ci"], filter = { branch = [{ glob = "v*" }, { not = { regex = "^x" } }] } }
[builder.ci]
command = ["make", "${args}", "on ${change.branch} $${HOME}"]
title = "é 🦀 ${build.number}"
timeout = "1h30m"
fast = true
script = """
echo "$X"
"""
on_failure = "warn"
"#;

/// Pieces that mean something in a configuration.
const PIECES: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "=",
    ".",
    ",",
    "#",
    "\n",
    "\r",
    "${",
    "}",
    "$",
    "\\",
    "\\u12",
    "0x",
    "1e999",
    "99999999999999999999",
    "nan",
    "1979-05-27",
    "true",
    "type",
    "builder.ci",
    "web",
    "🦀",
    "\u{0}",
    "\u{feff}",
    "\u{2028}",
];

/// One change to a text.
#[derive(Debug, Clone)]
enum Edit {
    Insert(Index, String),
    Delete(Index, usize),
    Repeat(Index, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let piece = prop_oneof![
        proptest::sample::select(PIECES).prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop_oneof![
        (any::<Index>(), piece).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        (any::<Index>(), 1..30usize).prop_map(|(at, count)| Edit::Delete(at, count)),
        (any::<Index>(), 1..80usize).prop_map(|(at, count)| Edit::Repeat(at, count)),
    ]
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for edit in edits {
        let place = |index: &Index, length: usize| index.index(length + 1);
        let length = characters.len();
        match edit {
            Edit::Insert(at, piece) => {
                let at = place(at, length);
                characters.splice(at..at, piece.chars());
            }
            Edit::Delete(at, count) => {
                let at = place(at, length);
                characters.drain(at..(at + count).min(length));
            }
            Edit::Repeat(at, count) => {
                let at = place(at, length);
                let piece = characters[at..(at + count).min(length)].to_vec();
                characters.splice(at..at, piece);
            }
        }
    }
    characters.into_iter().collect()
}

fn is_inside(problem: &Diagnostic, files: &[SourceFile]) -> bool {
    let spans = [Some(problem.primary.span), problem.secondary.as_ref().map(|label| label.span)];
    spans.into_iter().flatten().all(|span| {
        let text = files.get(span.file).map(|file| file.text.as_str());
        text.is_some_and(|text| text.get(span.start..span.end).is_some())
    })
}

fn is_harmless(files: &[SourceFile]) -> Result<(), TestCaseError> {
    let problems = check(files);
    for problem in &problems {
        prop_assert!(is_inside(problem, files), "{:?}", problem);
        prop_assert!(!problem.message.is_empty());
    }
    let text = render(&problems, files, Style::Plain);
    prop_assert!(text.lines().count() > problems.len());
    render(&problems, files, Style::Coloured);
    prop_assert!(to_json(&problems, files).starts_with('['));
    Ok(())
}

#[test]
fn the_valid_configuration_is_valid() {
    assert_eq!(check(&[file("yard.toml", VALID)]), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn arbitrary_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        is_harmless(&[file("yard.toml", &String::from_utf8_lossy(&bytes))])?;
    }

    #[test]
    fn arbitrary_pieces_are_harmless(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60),
    ) {
        is_harmless(&[file("yard.toml", &pieces.concat())])?;
    }

    #[test]
    fn a_damaged_configuration_is_harmless(edits in proptest::collection::vec(edit(), 1..6)) {
        is_harmless(&[file("yard.toml", &apply(VALID, &edits))])?;
    }

    #[test]
    fn a_damaged_second_file_is_harmless(edits in proptest::collection::vec(edit(), 0..6)) {
        let files = [file("yard.toml", VALID), file("more.toml", &apply(VALID, &edits))];
        is_harmless(&files)?;
    }
}
