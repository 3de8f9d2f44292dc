//! Which changes are worth a build: Buildbot's `fileIsImportant`, by globs.

use config::filter::glob_matches;
use config::{Code, Context, Diagnostic, Fields, Spanned};

use crate::row::Change;

/// What makes a change important.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Importance {
    /// A change is important where one of its files is like one of these; every change is where
    /// there are none.
    pub files: Vec<String>,
    /// Others are not taken along either.
    pub only: bool,
}

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It leads to a build.
    Important,
    /// It goes along with one that does.
    Passenger,
    /// It is as if it had not come.
    Nothing,
}

impl Importance {
    pub(super) fn decode(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let files: Option<Vec<String>> = fields.or("important_files", Vec::new(), cx);
        let only: Option<Option<Spanned<bool>>> = fields.optional("only_important", cx);
        let (files, only) = (files?, only?);
        if let Some(only) = only.as_ref().filter(|only| only.value && files.is_empty()) {
            let message = "without `important_files` every change is important";
            let problem = Diagnostic::new(Code::NoEffect, only.span, message);
            cx.report(problem.help("add important_files = [\"src/**\"]"));
        }
        Some(Self { files, only: only.is_some_and(|only| only.value) })
    }

    /// Weighs a change. One that names no files may be anything, and counts as important.
    pub(crate) fn weigh(&self, change: &Change) -> Weight {
        let is_like = |file: &Vec<u8>| {
            let file = String::from_utf8_lossy(file);
            self.files.iter().any(|glob| glob_matches(glob, &file))
        };
        let knows_nothing = self.files.is_empty() || change.files.is_empty();
        if knows_nothing || change.files.iter().any(is_like) {
            Weight::Important
        } else if self.only {
            Weight::Nothing
        } else {
            Weight::Passenger
        }
    }
}
