//! `git = "SOURCE"`: a checkout of the change's revision by the worker's own git step.

use config::{Code, Context, Decode as _, Diagnostic, Entry, Fields, Name, Spanned, choice};
use serde::{Deserialize, Serialize};

use super::{Program, StepKind, decode};
use crate::reference;
use crate::subject::Subject;

/// Where a change source's commits are; part of a build's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// As `git clone` takes it.
    pub url: String,
    /// Checked out where nothing else is asked for; the repository's own choice where absent.
    pub branch: Option<String>,
    /// Whether it may be a local path.
    pub allow_local: bool,
}

/// What to check out and how. The plan of the build holds the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitStep {
    /// The change source whose repository it is.
    pub source: Name,
    /// Used where the change names no branch of this repository.
    pub branch: Option<String>,
    pub mode: GitMode,
}

/// Buildbot's modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GitMode {
    /// Keeps what earlier builds left.
    Incremental,
    Full(GitMethod),
}

/// Buildbot's methods of a full checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GitMethod {
    /// Removes everything first.
    Clobber,
    /// Removes untracked and ignored files.
    Fresh,
    /// Removes untracked files.
    Clean,
    /// Works on a copy of a kept checkout.
    Copy,
}

pub(super) const KIND: decode::Kind = decode::Kind { key: "git", decode };

fn decode(entry: &Entry, step: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<StepKind> {
    let source = Spanned::<Name>::decode(&entry.value, cx);
    if let Some(source) = &source {
        cx.refer(reference::REPOSITORY, source.clone());
    }
    let branch = step.optional("branch", cx);
    let mode = mode(step, cx);
    Some(StepKind::Git(GitStep { source: source?.value, branch: branch?, mode: mode? }))
}

fn mode(step: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<GitMode> {
    let mode = step.entry("mode");
    let method = step.entry("method");
    let methods = [
        ("clobber", GitMethod::Clobber),
        ("fresh", GitMethod::Fresh),
        ("clean", GitMethod::Clean),
        ("copy", GitMethod::Copy),
    ];
    let modes = [("incremental", GitMode::Incremental), ("full", GitMode::Full(GitMethod::Fresh))];
    let mode = match mode {
        Some(entry) => choice(&entry.value, &modes, cx)?,
        None => GitMode::Incremental,
    };
    let Some(entry) = method else { return Some(mode) };
    let method = choice(&entry.value, &methods, cx)?;
    match mode {
        GitMode::Full(_) => Some(GitMode::Full(method)),
        GitMode::Incremental => {
            let problem =
                Diagnostic::new(Code::OutOfRange, entry.key_span, "only mode full has a `method`");
            cx.report(problem.help("add mode = \"full\", or remove `method`"));
            None
        }
    }
}

impl GitStep {
    pub(super) fn render(&self, subject: &Subject<'_>) -> Result<(Program, Vec<Vec<u8>>), String> {
        let repository = subject
            .repository(&self.source)
            .ok_or_else(|| format!("change source {} has no repository", self.source))?;
        let (mode, method) = match self.mode {
            GitMode::Incremental => ("incremental", None),
            GitMode::Full(GitMethod::Clobber) => ("full", Some("clobber")),
            GitMode::Full(GitMethod::Fresh) => ("full", Some("fresh")),
            GitMode::Full(GitMethod::Clean) => ("full", Some("clean")),
            GitMode::Full(GitMethod::Copy) => ("full", Some("copy")),
        };
        // A change of another repository says nothing about branches and revisions of this one.
        let change = Some(subject.change()).filter(|change| {
            change.source == self.source
                || change.repository == repository.url
                || change.repository.is_empty()
        });
        let branch = change.and_then(|change| change.branch.as_deref());
        let branch = branch.or(self.branch.as_deref()).or(repository.branch.as_deref());
        let revision = change.and_then(|change| change.revision.as_deref());
        let mut argv = vec!["--repository", &repository.url, "--mode", mode];
        for (option, value) in
            [("--method", method), ("--branch", branch), ("--revision", revision)]
        {
            if let Some(value) = value {
                argv.extend([option, value]);
            }
        }
        if repository.allow_local {
            argv.push("--allow-local");
        }
        Ok((Program::Git, argv.into_iter().map(|word| word.as_bytes().to_vec()).collect()))
    }
}
