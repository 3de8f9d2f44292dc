//! `any_branch`: a stable timer of its own for each branch, repository, project and codebase.

use crate::row::Change;

/// Buildbot's `AnyBranchScheduler`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyBranch {}

impl AnyBranch {
    pub(super) fn lane(&self, change: &Change) -> String {
        // A unit separator does not occur in names, so no two lanes meet.
        let branch = change.branch.as_deref().map_or("-".to_owned(), |name| format!("+{name}"));
        [branch.as_str(), &change.repository, &change.project, &change.codebase].join("\u{1f}")
    }
}
