//! `single_branch`: one stable timer for everything that passes the filter.

use config::{Context, Fields, Kind};

use super::{SchedulerKind, Shape, decode_shape};
use crate::row::Change;

pub(super) const KIND: Kind<Shape> =
    Kind { name: "single_branch", decode: |node, cx| decode_shape(node, cx, own) };

fn own(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<SchedulerKind> {
    let branch = fields.optional("branch", cx)?;
    Some(SchedulerKind::SingleBranch(SingleBranch { branch }))
}

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
