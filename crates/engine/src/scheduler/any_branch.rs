//! `any_branch`: a stable timer of its own for each branch, repository, project and codebase.

use config::Kind;

use super::{SchedulerKind, Shape, decode_shape};
use crate::row::Change;

pub(super) const KIND: Kind<Shape> = Kind {
    name: "any_branch",
    decode: |node, cx| {
        decode_shape(node, cx, |_fields, _cx| Some(SchedulerKind::AnyBranch(AnyBranch {})))
    },
};

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
