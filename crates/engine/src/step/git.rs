//! `git = "SOURCE"`: a checkout of the change's revision by the worker's own git step.

use serde::{Deserialize, Serialize};

use super::Program;
use crate::subject::Subject;

/// What to check out and how. The repository is resolved from the change source when the
/// configuration is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitStep {
    pub repository: String,
    /// Used where the change names no branch.
    pub branch: Option<String>,
    pub mode: GitMode,
    /// Whether the repository may be a local path.
    pub allow_local: bool,
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

impl GitStep {
    pub(super) fn render(&self, subject: &Subject<'_>) -> Result<(Program, Vec<Vec<u8>>), String> {
        let (mode, method) = match self.mode {
            GitMode::Incremental => ("incremental", None),
            GitMode::Full(GitMethod::Clobber) => ("full", Some("clobber")),
            GitMode::Full(GitMethod::Fresh) => ("full", Some("fresh")),
            GitMode::Full(GitMethod::Clean) => ("full", Some("clean")),
            GitMode::Full(GitMethod::Copy) => ("full", Some("copy")),
        };
        let branch = subject.change.branch.as_deref().or(self.branch.as_deref());
        let mut argv = vec!["--repository", &self.repository, "--mode", mode];
        for (option, value) in [
            ("--method", method),
            ("--branch", branch),
            ("--revision", subject.change.revision.as_deref()),
        ] {
            if let Some(value) = value {
                argv.extend([option, value]);
            }
        }
        if self.allow_local {
            argv.push("--allow-local");
        }
        Ok((Program::Git, argv.into_iter().map(|word| word.as_bytes().to_vec()).collect()))
    }
}
