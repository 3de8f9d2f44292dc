//! A bare mirror of the branches a source reads.

use std::path::PathBuf;
use std::time::Duration;

use failpoint::Act;

use super::answer::{self, Between, Heads};
use super::commit::{self, Commit};
use super::git::{Git, GitError};
use super::lock;

/// Where fetched heads are kept; nothing else of ours lies there.
const PREFIX: &str = "refs/yardmaster/";
/// Repacking may take longer than any other command; the source waits meanwhile.
const TO_REPACK: Duration = Duration::from_secs(600);

/// The mirror of one repository.
#[derive(Debug)]
pub(super) struct Mirror {
    git: Git,
    url: String,
    folder: PathBuf,
}

impl Mirror {
    pub(super) fn new(git: Git, url: String, folder: PathBuf) -> Self {
        Self { git, url, folder }
    }

    /// Asks the remote for its heads, without fetching anything. Branches whose names are not
    /// UTF-8 are left out.
    pub(super) async fn remote_heads(&self) -> Result<Heads, GitError> {
        let arguments = ["ls-remote", "--heads", "--end-of-options", self.url.as_str()];
        let out = self.git.run(None, &arguments, b"").await?;
        answer::heads(&out)
    }

    /// Fetches branches and returns the heads they really had by then. Of other branches only
    /// those in `remote` are kept.
    ///
    /// After a failure the mirror is mended, for the next round.
    pub(super) async fn fetch(&self, branches: &[&str], remote: &Heads) -> Result<Heads, GitError> {
        if !self.folder.join("HEAD").exists() {
            self.init().await?;
        }
        failpoint::before(Act::GitFetch);
        let fetched = self.forget_and_fetch(branches, remote).await;
        failpoint::after(Act::GitFetch);
        if fetched.is_err() {
            self.mend().await?;
        }
        fetched
    }

    async fn init(&self) -> Result<(), GitError> {
        let folder = self.folder.to_string_lossy();
        let arguments = ["init", "--quiet", "--bare", "--", &folder];
        self.git.run(None, &arguments, b"").await.map(drop)
    }

    /// Removes the locks of a git that was killed, by us or with the machine, and makes what is
    /// missing of the mirror. Nobody else works in it.
    async fn mend(&self) -> Result<(), GitError> {
        lock::remove_all(&self.folder)
            .map_err(|source| GitError::Mend { path: self.folder.clone(), source })?;
        self.init().await
    }

    async fn forget_and_fetch(&self, branches: &[&str], remote: &Heads) -> Result<Heads, GitError> {
        self.forget_gone(remote).await?;
        self.try_fetch(branches).await
    }

    /// Removes the heads of branches that are gone: while `x` is there, git cannot make `x/y`.
    async fn forget_gone(&self, remote: &Heads) -> Result<(), GitError> {
        let arguments = ["for-each-ref", "--format=%(refname)", PREFIX];
        let out = self.git.run(Some(&self.folder), &arguments, b"").await?;
        let mut orders = Vec::new();
        for reference in out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let branch = reference.strip_prefix(PREFIX.as_bytes());
            let branch = branch.and_then(|name| std::str::from_utf8(name).ok());
            if !branch.is_some_and(|name| remote.contains_key(name)) {
                orders.extend([b"delete ", reference, b"\0\0"].concat());
            }
        }
        if orders.is_empty() {
            return Ok(());
        }
        let arguments = ["update-ref", "-z", "--stdin"];
        self.git.run(Some(&self.folder), &arguments, &orders).await.map(drop)
    }

    async fn try_fetch(&self, branches: &[&str]) -> Result<Heads, GitError> {
        let refspecs: String = branches
            .iter()
            .map(|branch| format!("+refs/heads/{branch}:{PREFIX}{branch}\n"))
            .collect();
        let arguments = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--stdin",
            "--end-of-options",
            self.url.as_str(),
        ];
        self.git.run(Some(&self.folder), &arguments, refspecs.as_bytes()).await?;
        let mut heads = Heads::new();
        for branch in branches {
            let reference = format!("{PREFIX}{branch}");
            let arguments = ["rev-parse", "--verify", "--end-of-options", &reference];
            let out = self.git.run(Some(&self.folder), &arguments, b"").await?;
            let id = answer::id_of("rev-parse", String::from_utf8_lossy(&out).trim())?;
            heads.insert((*branch).to_owned(), id);
        }
        Ok(heads)
    }

    /// Says whether `old` is known here and an ancestor of `new`.
    pub(super) async fn is_ancestor(&self, old: &str, new: &str) -> Result<bool, GitError> {
        Ok(self.says(&["cat-file", "-e", old]).await?
            && self.says(&["merge-base", "--is-ancestor", old, new]).await?)
    }

    /// Asks git a question that it answers by its exit code: 0 is yes, 1 is no, and anything
    /// else is trouble, which is no answer.
    async fn says(&self, arguments: &[&str]) -> Result<bool, GitError> {
        match self.git.run(Some(&self.folder), arguments, b"").await {
            Ok(_) => Ok(true),
            Err(GitError::Failed { code: Some(1), .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lists the newest commits of `new`'s first parents that none of `known` has.
    pub(super) async fn between(
        &self,
        known: &[&str],
        new: &str,
        most: usize,
    ) -> Result<Between, GitError> {
        let mut input = format!("{new}\n");
        for id in known {
            input.push_str(&format!("^{id}\n"));
        }
        let arguments = ["rev-list", "--first-parent", "--reverse", "--ignore-missing", "--stdin"];
        let out = self.git.run(Some(&self.folder), &arguments, input.as_bytes()).await?;
        answer::between(&out, most)
    }

    /// Repacks where that is worth it, which git decides by what has piled up.
    pub(super) async fn repack(&self) -> Result<(), GitError> {
        if !self.folder.join("HEAD").exists() {
            return Ok(());
        }
        let arguments = ["gc", "--auto", "--quiet"];
        self.git.run_for(TO_REPACK, Some(&self.folder), &arguments, b"").await.map(drop)
    }

    /// Reads a commit.
    pub(super) async fn commit(&self, id: &str) -> Result<Commit, GitError> {
        let raw = self.git.run(Some(&self.folder), &["cat-file", "commit", id], b"").await?;
        commit::parse(&raw).ok_or_else(|| GitError::Output {
            what: "cat-file".to_owned(),
            why: format!("{id} is no commit"),
        })
    }

    /// Lists the paths a commit touched, compared with its first parent.
    pub(super) async fn files(&self, id: &str, commit: &Commit) -> Result<Vec<Vec<u8>>, GitError> {
        let mut arguments = vec![
            "diff-tree",
            "-r",
            "-z",
            "--name-only",
            "--no-renames",
            "--no-commit-id",
            "--root",
        ];
        arguments.extend(commit.parents.first().map(String::as_str));
        arguments.push(id);
        let out = self.git.run(Some(&self.folder), &arguments, b"").await?;
        Ok(answer::files(&out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository in place of a mirror, with commits `1` to `4` and one without parents.
    struct Rig {
        _folder: tempfile::TempDir,
        mirror: Mirror,
        commits: Vec<String>,
        other: String,
    }

    impl Rig {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.git");
            let url = path.display().to_string();
            let settings = folder.path().join("settings");
            let git = Git::new(settings.clone(), &url, Duration::from_secs(60)).unwrap();
            std::fs::write(&settings, "[user]\n\tname = a\n\temail = a@example.org\n").unwrap();
            let mirror = Mirror::new(git, url, path);
            mirror.init().await.unwrap();
            let tree = run(&mirror, &["hash-object", "-wt", "tree", "--stdin"]).await;
            let mut commits: Vec<String> = Vec::new();
            for message in ["1", "2", "3", "4"] {
                let mut arguments = vec!["commit-tree", "-m", message, &tree];
                if let Some(parent) = commits.last() {
                    arguments.extend(["-p", parent.as_str()]);
                }
                let made = run(&mirror, &arguments).await;
                commits.push(made);
            }
            let other = run(&mirror, &["commit-tree", "-m", "other", &tree]).await;
            Self { _folder: folder, mirror, commits, other }
        }
    }

    async fn run(mirror: &Mirror, arguments: &[&str]) -> String {
        let out = mirror.git.run(Some(&mirror.folder), arguments, b"").await.unwrap();
        String::from_utf8(out).unwrap().trim().to_owned()
    }

    #[tokio::test]
    async fn only_gits_no_means_that_a_branch_was_rewritten() {
        let rig = Rig::new().await;
        let (first, last) = (&rig.commits[0], &rig.commits[3]);
        assert!(rig.mirror.is_ancestor(first, last).await.unwrap());
        assert!(!rig.mirror.is_ancestor(&rig.other, last).await.unwrap());
        let unknown = "1".repeat(40);
        assert!(!rig.mirror.is_ancestor(&unknown, last).await.unwrap());
        let trouble = rig.mirror.is_ancestor(first, &unknown).await;
        assert!(matches!(trouble, Err(GitError::Failed { .. })), "{trouble:?}");
    }

    #[tokio::test]
    async fn the_newest_commits_are_listed_and_the_others_counted() {
        let rig = Rig::new().await;
        let [first, _, third, last] = rig.commits.as_slice() else { panic!("four commits") };
        let two = rig.mirror.between(&[first], last, 2).await.unwrap();
        assert_eq!(two, Between { commits: vec![third.clone(), last.clone()], left_out: 1 });
        let all = rig.mirror.between(&[first], last, 3).await.unwrap();
        assert_eq!((all.commits.len(), all.left_out), (3, 0));
    }
}
