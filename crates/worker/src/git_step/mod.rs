//! `worker git-step`: brings a repository to a revision in the current directory.
//!
//! A program of its own, run under a shim like any command, so that its output, its timeout and
//! its survival are those of a command. `source` says which repositories are acceptable, `git`
//! runs git with a configuration that no repository can bend, `checkout` knows Buildbot's modes.
//!
//! **Invariant**: nothing from the network decides what is executed here: no hooks, no filters,
//! no helpers, no submodules, and no word of a change is taken for an option.

mod checkout;
mod git;
mod source;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use git::Git;
use source::{Reference, Source};

/// The options, as the master writes them; the last two are the worker's own.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, allow_hyphen_values = true)]
    repository: String,
    #[arg(long, value_enum)]
    mode: Mode,
    #[arg(long, value_enum, default_value = "fresh")]
    method: Method,
    #[arg(long, allow_hyphen_values = true)]
    branch: Option<String>,
    #[arg(long, allow_hyphen_values = true)]
    revision: Option<String>,
    /// The master allows a repository on this machine.
    #[arg(long)]
    allow_local: bool,
    /// Where `copy` keeps its checkout.
    #[arg(long)]
    kept: Option<PathBuf>,
    /// The worker does not allow a repository on this machine.
    #[arg(long)]
    forbid_local: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Incremental,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    Clobber,
    Fresh,
    Clean,
    Copy,
}

/// Who lets a git step read a repository on this machine: both have to.
#[derive(Debug, Clone, Copy)]
struct LocalPolicy {
    master_allows: bool,
    worker_allows: bool,
}

/// Why there is no checkout.
#[derive(Debug, thiserror::Error)]
enum GitStepError {
    #[error(transparent)]
    Source(#[from] source::SourceError),
    #[error(transparent)]
    Git(#[from] git::GitError),
    #[error(
        "revision {revision} is not in {repository}{branch}; it may have been removed by a \
         rewritten branch"
    )]
    NoRevision { repository: String, revision: String, branch: String },
    #[error("mode `full` with method `copy` needs `--kept DIRECTORY`")]
    NoKept,
    #[error("{what} {path}: {source}")]
    Disk { what: &'static str, path: PathBuf, source: std::io::Error },
}

/// Runs the step in the current directory.
pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(commit) => {
            say(&format!("checked out {commit}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("git step: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<String, GitStepError> {
    let policy =
        LocalPolicy { master_allows: options.allow_local, worker_allows: !options.forbid_local };
    let source = Source::parse(&options.repository, policy)?;
    let branch = options.branch.as_deref().map(Reference::branch).transpose()?;
    let revision = options.revision.as_deref().map(Reference::revision).transpose()?;
    let git = Git::new(&source)?;
    let wanted = checkout::Wanted { source, branch, revision };
    match (options.mode, options.method) {
        (Mode::Incremental, _) => checkout::incremental(&git, &wanted),
        (Mode::Full, Method::Clobber) => checkout::clobber(&git, &wanted),
        (Mode::Full, Method::Fresh) => checkout::fresh(&git, &wanted),
        (Mode::Full, Method::Clean) => checkout::clean(&git, &wanted),
        (Mode::Full, Method::Copy) => {
            let kept = options.kept.as_deref().ok_or(GitStepError::NoKept)?;
            checkout::copy(&git, &wanted, kept)
        }
    }
}

/// Writes a line to the step's log.
fn say(line: &str) {
    #[expect(clippy::print_stderr, reason = "standard error is the step's log")]
    {
        eprintln!("{line}");
    }
}
