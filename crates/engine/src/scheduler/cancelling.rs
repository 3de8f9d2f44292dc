//! What a scheduler no longer wants once something newer, or a failure, came.

use config::{Context, Fields};

/// Which of its requests a scheduler cancels by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cancelling {
    /// Older ones of the same branch, when there is a newer one.
    pub old_builds: bool,
    /// The rest of a buildset of which one has failed.
    pub failing_buildsets: bool,
}

impl Cancelling {
    pub(super) fn decode(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let old_builds = fields.or("cancel_old_builds", false, cx);
        let failing_buildsets = fields.or("cancel_failing_buildsets", false, cx);
        Some(Self { old_builds: old_builds?, failing_buildsets: failing_buildsets? })
    }
}
