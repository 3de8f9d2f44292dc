//! What an administrator may write, as targets for a fuzzer: each panics where an invariant does
//! not hold.

use std::path::PathBuf;

use crate::condition;
use crate::context::Context;
use crate::decode::Decode as _;
use crate::expression::Known;
use crate::filter::ChangeFilter;
use crate::source::SourceFile;
use crate::template::{self, FieldPath};
use crate::{Name, Style, Value, parse_duration, parse_size, render, to_json};

/// What one expression can become.
const MOST_FILLED_BYTES: usize = 256 * 1024;

fn file(text: &str) -> SourceFile {
    let (path, folder) = (PathBuf::from("x.toml"), PathBuf::from("/"));
    SourceFile { path, folder, text: text.to_owned() }
}

/// Any text is a tree with problems, and problems can be shown.
pub fn toml(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let files = vec![file(text)];
    let (_tree, problems) = crate::parse(&files);
    show(&problems, &files);
}

/// Shows problems in every way there is.
pub fn show(problems: &[crate::Diagnostic], files: &[SourceFile]) {
    // An editor shows a handful; a hundred thousand errors are shown as slowly as they like.
    let few = &problems[..problems.len().min(20)];
    assert!(!render(few, files, Style::Plain).is_empty());
    assert!(!render(few, files, Style::Coloured).is_empty());
    assert!(to_json(few, files).starts_with('['));
}

/// Texts with expressions in them are refused or can be filled in; short values are read.
pub fn template(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let scope = |_path: &FieldPath| Some(Value::Str("x".to_owned()));
    if let Ok(template) = template::parse(text) {
        // Whether it can be filled in is decided by its operators and functions.
        let filled = template.render(&scope).unwrap_or_default();
        assert!(filled.len() <= text.len().max(1) * MOST_FILLED_BYTES);
    }
    if let Ok(condition) = condition::parse(text, Known::OfBuild) {
        drop(condition.holds(&scope));
    }
    let files = vec![file("")];
    let mut cx = Context::new(&files, Vec::new());
    template::check_script(text, crate::Span::default(), &mut cx);
    let _read = (parse_duration(text), parse_size(text), Name::parse(text));
}

/// A filter that can be read can be asked about anything.
///
/// A NUL byte ends the filter; the rest is the text it is asked about.
pub fn filter(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (text, subject) = text.split_once('\0').unwrap_or((text, "main"));
    let files = vec![file(text)];
    let (tree, problems) = crate::parse(&files);
    let mut cx = Context::new(&files, problems);
    let filter = ChangeFilter::decode(&tree, &mut cx);
    show(&cx.finish(), &files);
    if let Some(filter) = filter {
        filter.matches(&|_attribute| Some(Value::Str(subject.to_owned())));
        filter.matches(&|_attribute| None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_of_the_corpus() {
        corpus::replay("toml", toml);
    }

    #[test]
    fn templates_of_the_corpus() {
        corpus::replay("template", template);
    }

    #[test]
    fn filters_of_the_corpus() {
        corpus::replay("filter", filter);
    }
}
