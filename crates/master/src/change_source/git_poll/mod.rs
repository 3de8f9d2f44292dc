//! `git_poll`: reads branches of a git repository again and again.
//!
//! Each source is a task of its own with a bare mirror of its own, so an unreachable or hanging
//! remote delays nobody else. New heads and the changes between are one event of the engine:
//! they are committed together, so a crash neither loses a commit nor reports it twice.

mod answer;
mod commit;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod git;
mod lock;
mod mirror;
mod poller;
mod round;
mod url;

use std::time::Duration;

use config::filter::glob_matches;
use config::{
    AtLeastOne, Code, Context, Decode as _, Diagnostic, Fields, Kind, Name, Node, Spanned, choice,
};
use engine::step::Repository;

use super::ChangeSource;

pub use poller::{Poller, PollerParts};

/// What to poll, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitPoll {
    pub repository: String,
    /// Names and globs.
    pub branches: Vec<String>,
    pub poll_interval: Duration,
    pub poll_at_launch: bool,
    pub first_sight: FirstSight,
    pub allow_local: bool,
    /// For one git command.
    pub timeout: Duration,
    pub project: String,
    pub codebase: String,
    pub category: Option<String>,
}

/// What a repository's heads mean when they are seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstSight {
    /// They are where reading begins.
    Record,
    /// Each is a change.
    Build,
}

pub(super) const KIND: Kind<ChangeSource> = Kind { name: "git_poll", decode };

fn decode(node: &Node, cx: &mut Context<'_>) -> Option<ChangeSource> {
    let mut fields =
        Fields::of(node, cx)?.with_later(&["when", "submodules", "ssh_key", "token", "was"]);
    fields.entry("type");
    let repository: Option<Spanned<String>> = fields.required("repository", cx);
    let branches = fields.or("branches", AtLeastOne(vec!["**".to_owned()]), cx);
    let poll_interval = interval(&mut fields, cx);
    let poll_at_launch = fields.or("poll_at_launch", true, cx);
    let first_sight = match fields.entry("first_sight") {
        Some(entry) => {
            let options = [("record", FirstSight::Record), ("build", FirstSight::Build)];
            choice(&entry.value, &options, cx)
        }
        None => Some(FirstSight::Record),
    };
    let allow_local = fields.or("allow_local", false, cx);
    let timeout = fields.or("timeout", Duration::from_secs(60), cx);
    let project = fields.or("project", String::new(), cx);
    let codebase = fields.or("codebase", String::new(), cx);
    let category = fields.optional("category", cx);
    fields.finish(cx);
    Some(ChangeSource::GitPoll(GitPoll {
        repository: url::check(&repository?, allow_local?, cx)?,
        branches: branches?.0,
        poll_interval: poll_interval?,
        poll_at_launch: poll_at_launch?,
        first_sight: first_sight?,
        allow_local: allow_local?,
        timeout: timeout?,
        project: project?,
        codebase: codebase?,
        category: category?,
    }))
}

/// Shorter intervals hurt the remote more than they help.
const SHORTEST: Duration = Duration::from_millis(100);

fn interval(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Duration> {
    let Some(entry) = fields.entry("poll_interval") else { return Some(Duration::from_secs(60)) };
    let interval = Duration::decode(&entry.value, cx)?;
    if interval < SHORTEST {
        let message = "a source is polled at most ten times a second";
        cx.report(Diagnostic::new(Code::OutOfRange, entry.value.span, message));
        return None;
    }
    Some(interval)
}

impl GitPoll {
    /// Returns the repository for git steps.
    pub(super) fn as_repository(&self) -> Repository {
        let is_name = |text: &&String| !text.contains(['*', '?']);
        Repository {
            url: self.repository.clone(),
            // One plain name is what the source is about; a choice of several is not ours.
            branch: Some(&self.branches)
                .filter(|branches| branches.len() == 1)
                .and_then(|branches| branches.iter().find(is_name).cloned()),
            allow_local: self.allow_local,
        }
    }

    /// Says whether a branch is to be read.
    fn wants(&self, branch: &str) -> bool {
        self.branches.iter().any(|pattern| glob_matches(pattern, branch))
    }

    /// Returns how a source is called in the file system.
    fn folder(name: &Name) -> String {
        format!("{name}.git")
    }
}
