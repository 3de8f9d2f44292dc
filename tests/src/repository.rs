//! A git repository for tests: bare, with a clone from which commits are pushed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::finish;

/// A bare repository and its clone, on branch `main`.
#[derive(Debug)]
pub struct Repository {
    bare: PathBuf,
    clone: PathBuf,
}

impl Repository {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let bare = folder.join(format!("{name}.git"));
        let clone = folder.join(format!("{name}.clone"));
        fs::create_dir_all(&clone).expect("make the folder of a clone");
        let repository = Self { bare, clone };
        let bare = repository.bare.as_os_str();
        let bare_options = ["init", "--quiet", "--bare", "--initial-branch", "main"];
        repository.git(bare_options.map(OsStr::new).into_iter().chain([bare]));
        repository.git(["init", "--quiet", "--initial-branch", "main"]);
        repository.git(["remote", "add", "origin"].map(OsStr::new).into_iter().chain([bare]));
        repository
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("file://{}", self.bare.display())
    }

    /// Returns the folder of the clone.
    pub fn folder(&self) -> &Path {
        &self.clone
    }

    /// Returns a git command in the clone, with no settings but ours.
    pub fn command(&self) -> Command {
        let mut command = Command::new("git");
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_AUTHOR_NAME", "Ann"),
            ("GIT_AUTHOR_EMAIL", "ann@example.org"),
            ("GIT_COMMITTER_NAME", "Ann"),
            ("GIT_COMMITTER_EMAIL", "ann@example.org"),
        ] {
            command.env(name, value);
        }
        command.arg("-C").arg(&self.clone);
        command
    }

    /// Runs git in the clone and returns what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn git(&self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> String {
        let mut command = self.command();
        command.args(arguments);
        let finished = finish(&mut command);
        assert!(finished.status.success(), "{command:?}: {}", finished.err());
        finished.out().trim().to_owned()
    }

    /// Commits a file with its text as the message, without pushing, and returns the commit.
    pub fn commit(&self, file: &str, text: &str) -> String {
        fs::write(self.clone.join(file), text).expect("write into the clone");
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--message", text]);
        self.git(["rev-parse", "HEAD"])
    }

    /// Pushes the current branch, whatever was there before.
    pub fn push(&self) {
        self.git(["push", "--quiet", "--force", "origin", "HEAD"]);
    }
}
