//! Buildbot's modes, each from the same few steps: make a repository, clean, fetch, check out.
//!
//! An exact revision is fetched by its hash, so that it is found even where its branch has moved
//! on; a server that refuses this is asked for the branch. What is there already is not fetched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::git::{Git, GitError};
use super::source::{Reference, Source};
use super::{GitStepError, say};

/// What is to be checked out.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) source: Source,
    pub(super) branch: Option<Reference>,
    pub(super) revision: Option<Reference>,
}

/// Locks a git that was killed may have left; nobody else works in the directory.
const LOCKS: [&str; 6] =
    ["index.lock", "HEAD.lock", "config.lock", "shallow.lock", "packed-refs.lock", "gc.pid.lock"];

/// Keeps untracked and ignored files.
pub(super) fn incremental(git: &Git, wanted: &Wanted) -> Result<String, GitStepError> {
    update(git, &here()?, wanted)
}

/// Removes everything first.
pub(super) fn clobber(git: &Git, wanted: &Wanted) -> Result<String, GitStepError> {
    let here = here()?;
    empty(&here)?;
    update(git, &here, wanted)
}

/// Removes untracked and ignored files.
pub(super) fn fresh(git: &Git, wanted: &Wanted) -> Result<String, GitStepError> {
    clean_and_update(git, wanted, "-dffxq")
}

/// Removes untracked files, keeps ignored ones.
pub(super) fn clean(git: &Git, wanted: &Wanted) -> Result<String, GitStepError> {
    clean_and_update(git, wanted, "-dffq")
}

fn clean_and_update(git: &Git, wanted: &Wanted, how: &str) -> Result<String, GitStepError> {
    let here = here()?;
    if !is_repository(git, &here)? {
        return clobber(git, wanted);
    }
    let commit = update(git, &here, wanted)?;
    // Afterwards, so that the ignore rules are those of the wanted revision.
    git.run(&here, || "remove untracked files".to_owned(), &["clean", how])?;
    Ok(commit)
}

/// Updates a checkout that is kept elsewhere and works on a copy of it.
pub(super) fn copy(git: &Git, wanted: &Wanted, kept: &Path) -> Result<String, GitStepError> {
    let disk = |what, source| GitStepError::Disk { what, path: kept.to_owned(), source };
    fs::create_dir_all(kept).map_err(|source| disk("make", source))?;
    let commit = update(git, kept, wanted)?;
    let here = here()?;
    empty(&here)?;
    let mut command = Command::new("cp");
    command.args(["-a", "--"]).arg(kept.join(".")).arg(&here);
    match command.status() {
        Ok(status) if status.success() => Ok(commit),
        Ok(status) => Err(disk("copy", io::Error::other(format!("cp: {status}")))),
        Err(source) => Err(disk("copy", source)),
    }
}

fn here() -> Result<PathBuf, GitStepError> {
    let disk = |source| GitStepError::Disk { what: "find", path: PathBuf::from("."), source };
    std::env::current_dir().map_err(disk)
}

/// Fetches and checks out; returns the commit.
fn update(git: &Git, at: &Path, wanted: &Wanted) -> Result<String, GitStepError> {
    remove_locks(at);
    if !is_repository(git, at)? {
        remove(&at.join(".git"))?;
        git.run(at, || "make a repository".to_owned(), &["init", "--quiet"])?;
    }
    let commit = fetch(git, at, wanted)?;
    let what = || format!("check out {commit}");
    git.run(at, what, &["checkout", "--quiet", "--force", "--detach", &commit])?;
    repack(git, at);
    Ok(commit)
}

/// Repacks where that is worth it, which git decides by what has piled up. No repository is worse
/// for having to wait for the next time.
fn repack(git: &Git, at: &Path) {
    let what = || "repack the repository".to_owned();
    if let Err(error) = git.run(at, what, &["gc", "--auto", "--quiet"]) {
        say(&format!("git step: {error}; the checkout is good all the same"));
    }
}

fn is_repository(git: &Git, at: &Path) -> Result<bool, GitError> {
    // A link or a file would lead to a repository elsewhere.
    let is_directory = fs::symlink_metadata(at.join(".git")).is_ok_and(|found| found.is_dir());
    Ok(is_directory && git.ask(at, &["rev-parse", "--git-dir"])?.is_some())
}

/// Brings what is wanted into the repository and returns its commit.
fn fetch(git: &Git, at: &Path, wanted: &Wanted) -> Result<String, GitStepError> {
    let Some(revision) = &wanted.revision else {
        let name = wanted.branch.as_ref().map_or("HEAD".to_owned(), Reference::in_full);
        fetch_one(git, at, &wanted.source, &name)?;
        return commit_of(git, at, "FETCH_HEAD");
    };
    if revision.is_hash() && has_commit(git, at, revision.as_str())? {
        return commit_of(git, at, revision.as_str());
    }
    let by_itself = fetch_quietly(git, at, &wanted.source, revision.as_str())?;
    if by_itself {
        return commit_of(git, at, "FETCH_HEAD");
    }
    let everything = "+refs/heads/*:refs/remotes/origin/*".to_owned();
    let name = wanted.branch.as_ref().map_or(everything, Reference::in_full);
    fetch_one(git, at, &wanted.source, &name)?;
    if has_commit(git, at, revision.as_str())? {
        return commit_of(git, at, revision.as_str());
    }
    let branch = wanted.branch.as_ref();
    Err(GitStepError::NoRevision {
        repository: wanted.source.shown(),
        revision: revision.as_str().to_owned(),
        branch: branch.map(|b| format!(", branch `{}`", b.as_str())).unwrap_or_default(),
    })
}

fn fetch_arguments<'a>(repository: &'a str, name: &'a str) -> [&'a str; 6] {
    ["fetch", "--force", "--no-tags", "--end-of-options", repository, name]
}

fn fetch_one(git: &Git, at: &Path, source: &Source, name: &str) -> Result<(), GitStepError> {
    say(&format!("fetch {name} from {}", source.shown()));
    let what = || format!("fetch {name} from {}", source.shown());
    Ok(git.run(at, what, &fetch_arguments(&source.argument(), name))?)
}

/// Fetches what the server may refuse to give; says whether it did.
fn fetch_quietly(git: &Git, at: &Path, source: &Source, name: &str) -> Result<bool, GitStepError> {
    say(&format!("fetch {name} from {}", source.shown()));
    Ok(git.ask(at, &fetch_arguments(&source.argument(), name))?.is_some())
}

fn has_commit(git: &Git, at: &Path, name: &str) -> Result<bool, GitError> {
    Ok(git.ask(at, &["cat-file", "-e", &format!("{name}^{{commit}}")])?.is_some())
}

fn commit_of(git: &Git, at: &Path, name: &str) -> Result<String, GitStepError> {
    let question = format!("{name}^{{commit}}");
    let answer = git.ask(at, &["rev-parse", "--verify", &question])?;
    let is_hash = |text: &String| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    answer.filter(|text| !text.is_empty() && is_hash(text)).ok_or_else(|| {
        let what = format!("find the commit of {name}");
        GitError::Answer { what, answer: "no such commit".to_owned() }.into()
    })
}

fn remove_locks(at: &Path) {
    for lock in LOCKS {
        // Usually there is none; one that cannot be removed is named by git itself.
        drop(fs::remove_file(at.join(".git").join(lock)));
    }
}

/// Removes everything in a directory, following no links.
fn empty(directory: &Path) -> Result<(), GitStepError> {
    let disk = |source| GitStepError::Disk { what: "empty", path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(disk)? {
        remove(&entry.map_err(disk)?.path())?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), GitStepError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(GitStepError::Disk { what: "remove", path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
