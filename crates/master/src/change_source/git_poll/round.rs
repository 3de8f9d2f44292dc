//! One round of polling: what changed since the heads that are committed.

use engine::{NewChange, PolledChange};

use super::answer::{Between, Heads};
use super::git::GitError;
use super::mirror::Mirror;
use super::{FirstSight, GitPoll};

/// Changes that one branch gives in one round; older commits are left out.
pub(super) const MOST_CHANGES: usize = 1_000;

/// What a round found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The heads to commit with the changes.
    pub(super) heads: Heads,
    pub(super) changes: Vec<PolledChange>,
    /// Branches that were there and no longer are.
    pub(super) deleted: Vec<String>,
    /// Branches whose history was replaced.
    pub(super) rewritten: Vec<String>,
    /// Branches with more new commits than one round takes, and how many were left out.
    pub(super) left_out: Vec<(String, usize)>,
}

/// Compares the remote with the committed heads, which are `None` before the first round. Returns
/// `None` where nothing moved.
pub(super) async fn look(
    source: &GitPoll,
    mirror: &Mirror,
    committed: Option<&Heads>,
) -> Result<Option<Found>, GitError> {
    let mut remote = mirror.remote_heads().await?;
    remote.retain(|branch, _| source.wants(branch));
    // That there is nothing is worth knowing too: what comes later is new.
    if Some(&remote) == committed {
        return Ok(None);
    }
    let is_first = committed.is_none();
    let nothing = Heads::new();
    let committed = committed.unwrap_or(&nothing);
    let moved: Vec<&str> = remote
        .iter()
        .filter(|(branch, id)| committed.get(*branch) != Some(id))
        .map(|(branch, _)| branch.as_str())
        .collect();
    let mut found = Found::default();
    found.deleted.extend(committed.keys().filter(|branch| !remote.contains_key(*branch)).cloned());
    found.heads = remote.clone();
    if !moved.is_empty() {
        found.heads.extend(mirror.fetch(&moved, &remote).await?);
    }
    let round = Round { source, mirror, committed, is_first };
    for branch in moved {
        round.read_branch(branch, &mut found).await?;
    }
    Ok(Some(found))
}

/// What a round starts from.
struct Round<'a> {
    source: &'a GitPoll,
    mirror: &'a Mirror,
    committed: &'a Heads,
    /// Nothing was read before.
    is_first: bool,
}

impl Round<'_> {
    async fn read_branch(&self, branch: &str, found: &mut Found) -> Result<(), GitError> {
        let new = found.heads.get(branch).cloned().unwrap_or_default();
        let Between { commits, left_out } = match self.committed.get(branch) {
            Some(old) if self.mirror.is_ancestor(old, &new).await? => {
                self.mirror.between(&[old], &new, MOST_CHANGES).await?
            }
            Some(_) => {
                found.rewritten.push(branch.to_owned());
                Between::only(new)
            }
            None => self.first_sight(new).await?,
        };
        if left_out > 0 {
            found.left_out.push((branch.to_owned(), left_out));
        }
        for id in commits {
            found.changes.push(self.change(branch, id).await?);
        }
        Ok(())
    }

    /// A branch seen for the first time gives what is new in it. In a repository that was empty it
    /// gives its head, as far back as its history may go. Where reading begins, or the branch has
    /// nothing of its own, the source says whether the head counts.
    async fn first_sight(&self, new: String) -> Result<Between, GitError> {
        if self.committed.is_empty() && !self.is_first {
            return Ok(Between::only(new));
        }
        let known: Vec<&str> = self.committed.values().map(String::as_str).collect();
        let own = if known.is_empty() {
            Between::default()
        } else {
            self.mirror.between(&known, &new, MOST_CHANGES).await?
        };
        Ok(match self.source.first_sight {
            FirstSight::Build if own.commits.is_empty() => Between::only(new),
            FirstSight::Build | FirstSight::Record => own,
        })
    }

    async fn change(&self, branch: &str, id: String) -> Result<PolledChange, GitError> {
        let commit = self.mirror.commit(&id).await?;
        let files = self.mirror.files(&id, &commit).await?;
        let change = NewChange {
            category: self.source.category.clone(),
            branch: Some(branch.to_owned()),
            revision: Some(id),
            repository: self.source.repository.clone(),
            project: self.source.project.clone(),
            codebase: self.source.codebase.clone(),
            author: commit.author,
            comments: commit.message,
            files,
            ..NewChange::default()
        };
        Ok(PolledChange { change, when_us: commit.when_us })
    }
}
