//! One round of polling: what changed since the heads that are committed.

use engine::{NewChange, PolledChange};

use super::git::GitError;
use super::mirror::{Heads, Mirror};
use super::{FirstSight, GitPoll};

/// Changes that one branch gives in one round; older commits are left out.
const MOST_CHANGES: usize = 1_000;

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
}

/// Compares the remote with the committed heads. `None` where nothing moved.
pub(super) async fn look(
    source: &GitPoll,
    mirror: &Mirror,
    committed: &Heads,
) -> Result<Option<Found>, GitError> {
    let mut remote = mirror.remote_heads().await?;
    remote.retain(|branch, _| source.wants(branch));
    if remote == *committed {
        return Ok(None);
    }
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
    for branch in moved {
        read_branch(source, mirror, committed, branch, &mut found).await?;
    }
    Ok(Some(found))
}

async fn read_branch(
    source: &GitPoll,
    mirror: &Mirror,
    committed: &Heads,
    branch: &str,
    found: &mut Found,
) -> Result<(), GitError> {
    let new = found.heads.get(branch).cloned().unwrap_or_default();
    let commits = match committed.get(branch) {
        Some(old) if mirror.is_ancestor(old, &new).await? => {
            mirror.between(&[old], &new, MOST_CHANGES).await?
        }
        Some(_) => {
            found.rewritten.push(branch.to_owned());
            vec![new]
        }
        None => first_sight(source, mirror, committed, new).await?,
    };
    for id in commits {
        found.changes.push(change(source, mirror, branch, id).await?);
    }
    Ok(())
}

/// A branch seen for the first time gives what is new in it. Where the whole repository is new,
/// or the branch has nothing of its own, the source says whether its head counts.
async fn first_sight(
    source: &GitPoll,
    mirror: &Mirror,
    committed: &Heads,
    new: String,
) -> Result<Vec<String>, GitError> {
    let known: Vec<&str> = committed.values().map(String::as_str).collect();
    let own = if known.is_empty() {
        Vec::new()
    } else {
        mirror.between(&known, &new, MOST_CHANGES).await?
    };
    Ok(match source.first_sight {
        FirstSight::Build if own.is_empty() => vec![new],
        FirstSight::Build | FirstSight::Record => own,
    })
}

async fn change(
    source: &GitPoll,
    mirror: &Mirror,
    branch: &str,
    id: String,
) -> Result<PolledChange, GitError> {
    let commit = mirror.commit(&id).await?;
    let files = mirror.files(&id, &commit).await?;
    let change = NewChange {
        category: source.category.clone(),
        branch: Some(branch.to_owned()),
        revision: Some(id),
        repository: source.repository.clone(),
        project: source.project.clone(),
        codebase: source.codebase.clone(),
        author: commit.author,
        comments: commit.message,
        files,
        ..NewChange::default()
    };
    Ok(PolledChange { change, when_us: commit.when_us })
}
