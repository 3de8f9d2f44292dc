//! What decoding collects: problems, definitions and references.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Severity};
use crate::name::Name;
use crate::source::{SourceFile, Span, Spanned};

/// A kind of thing that has names: its words for people, and the section that defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameKind {
    pub words: &'static str,
    pub section: &'static str,
}

/// Collects everything found while a configuration is decoded.
#[derive(Debug)]
pub struct Context<'a> {
    files: &'a [SourceFile],
    problems: Vec<Diagnostic>,
    defined: Vec<(NameKind, Spanned<Name>)>,
    referred: Vec<(NameKind, Spanned<Name>)>,
    /// The tables that were decoded, with the keys that were asked for.
    tables: Vec<(Span, Vec<&'static str>)>,
}

impl<'a> Context<'a> {
    /// Begins with the problems parsing found.
    pub fn new(files: &'a [SourceFile], problems: Vec<Diagnostic>) -> Self {
        Self { files, problems, defined: Vec::new(), referred: Vec::new(), tables: Vec::new() }
    }

    /// Notes a problem.
    pub fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// Notes which keys a table may have.
    pub(crate) fn decoded(&mut self, table: Span, keys: Vec<&'static str>) {
        self.tables.push((table, keys));
    }

    /// Returns which keys the tables may have that were decoded so far.
    pub(crate) fn tables(&self) -> &[(Span, Vec<&'static str>)] {
        &self.tables
    }

    /// Notes that a thing of a kind is defined.
    pub fn define(&mut self, kind: NameKind, name: Spanned<Name>) {
        self.defined.push((kind, name));
    }

    /// Notes that something refers to a thing of a kind.
    pub fn refer(&mut self, kind: NameKind, name: Spanned<Name>) {
        self.referred.push((kind, name));
    }

    /// Makes a path absolute: a relative one is relative to the file it stands in.
    pub fn path(&self, span: Span, text: &str) -> PathBuf {
        let folder = self.files.get(span.file).map(|file| file.folder.as_path());
        let path = folder.unwrap_or(Path::new("")).join(text);
        // Leaves out `.`, but not `..`: what that means depends on symlinks.
        path.components().collect()
    }

    /// Returns the place of a part of a text, where the text stands in the file as it is.
    pub(crate) fn within(&self, span: Span, text: &str, part: Range<usize>) -> Span {
        let file = self.files.get(span.file);
        let raw = file.and_then(|file| file.text.get(span.start..span.end));
        match raw.and_then(|raw| raw.find(text)) {
            Some(at) if part.start < part.end && part.end <= text.len() => {
                let start = span.start + at;
                Span { file: span.file, start: start + part.start, end: start + part.end }
            }
            Some(_) | None => span,
        }
    }

    /// Checks that every reference has its definition, and warns of kinds that nobody uses: only
    /// where there are no errors, as what could not be read may be what uses them.
    pub fn resolve(&mut self, warn_unused: &[NameKind]) {
        for (kind, name) in &self.referred {
            let mut same_kind = self.defined.iter().filter(|(other, _)| other == kind);
            if same_kind.clone().any(|(_, defined)| defined.value == name.value) {
                continue;
            }
            let message = format!("no {} named `{}`", kind.words, name.value);
            let mut problem = Diagnostic::new(Code::UnknownName, name.span, message);
            let known: Vec<&str> = same_kind.clone().map(|(_, n)| n.value.as_str()).collect();
            if let Some(near) = nearest(name.value.as_str(), &known) {
                problem = problem.label(format!("did you mean `{near}`?"));
                if let Some((_, defined)) = same_kind.find(|(_, n)| n.value.as_str() == near) {
                    problem = problem.also(defined.span, format!("`{near}` is defined here"));
                }
            } else if known.is_empty() {
                problem = problem.help(format!("define it: [{}.{}]", kind.section, name.value));
            } else {
                problem = problem.help(format!("there is: {}", known.join(", ")));
            }
            self.problems.push(problem);
        }
        if self.has_errors() {
            return;
        }
        for (kind, name) in &self.defined {
            let is_used =
                self.referred.iter().any(|(other, used)| other == kind && used.value == name.value);
            if warn_unused.contains(kind) && !is_used {
                let message = format!("{} `{}` is never used", kind.words, name.value);
                self.problems.push(Diagnostic::new(Code::Unused, name.span, message));
            }
        }
    }

    /// Hands out the problems in the order of their places, errors and warnings together.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.problems.sort_by_key(|problem| (problem.primary.span, problem.code));
        self.problems.dedup();
        self.problems
    }

    /// Says whether anything found so far is an error.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity() == Severity::Error)
    }
}

/// Finds the known word that was probably meant.
pub(crate) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let scored =
        known.iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate));
    let (distance, best) = scored.min()?;
    (distance <= 1 + word.chars().count() / 4).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_without_what_says_nothing() {
        let folder = PathBuf::from("/etc/yard");
        let files = [SourceFile { path: "yard.toml".into(), folder, text: String::new() }];
        let cx = Context::new(&files, Vec::new());
        let shown = |text| cx.path(Span::default(), text).display().to_string();
        assert_eq!(shown("./a/./b"), "/etc/yard/a/b");
        assert_eq!(shown("/var//lib"), "/var/lib");
        // `a` may be a symlink.
        assert_eq!(shown("a/../b"), "/etc/yard/a/../b");
        assert_eq!(shown(""), "/etc/yard");
    }
}
