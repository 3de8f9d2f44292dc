//! How much room a worker leaves on its disk.

use config::{Context, Decode, Fields, Node, Size};

/// Keys of later versions.
const LATER: &[&str] = &["path"];

/// What is kept although nobody needs it at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DiskPolicy {
    /// Where less is free, working directories that no build needs are removed, those first that
    /// were unused for longest. Default: 0, all are kept.
    pub keep_free_bytes: u64,
}

impl Decode for DiskPolicy {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?.with_later(LATER);
        let keep_free: Option<Option<Size>> = fields.optional("keep_free", cx);
        fields.finish(cx);
        Some(Self { keep_free_bytes: keep_free?.map_or(0, |size| size.bytes) })
    }
}
