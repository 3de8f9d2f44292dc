//! `single_branch`: one stable timer for everything that passes the filter.

use crate::row::Change;

/// Buildbot's `SingleBranchScheduler`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleBranch {
    /// The branch to build; any that passes the filter where absent.
    pub branch: Option<String>,
}

impl SingleBranch {
    pub(super) fn lane(&self, change: &Change) -> Option<String> {
        let is_mine = self.branch.is_none() || self.branch == change.branch;
        is_mine.then(String::new)
    }
}
