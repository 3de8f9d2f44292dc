//! How much output of a command this worker keeps.

use config::{Context, Decode, Node, Size};

use super::bounds::{Bounds, Key};

/// For steps without `max_output`.
const DEFAULT_BYTES: u64 = 128 * 1024 * 1024;
/// Least of either key, in bytes.
const LEAST_BYTES: u64 = 64 * 1024;

/// The worker's own policy about output; it wins over the master's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutputPolicy(Bounds<u64>);

impl OutputPolicy {
    /// Returns what a step gets that asks for so much, or for nothing.
    pub(crate) fn granted(self, asked_bytes: Option<u64>) -> u64 {
        self.0.granted(asked_bytes).unwrap_or(u64::MAX)
    }
}

impl Default for OutputPolicy {
    fn default() -> Self {
        Self(Bounds { default: Some(DEFAULT_BYTES), most: None })
    }
}

impl Decode for OutputPolicy {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let complaint = "a cap of output is at least \"64KiB\"";
        let key = Key { value: |size: &Size| size.bytes, least: LEAST_BYTES, complaint };
        let bounds = Bounds::decode(node, cx, &key)?;
        Some(Self(Bounds { default: bounds.default.or(Some(DEFAULT_BYTES)), ..bounds }))
    }
}
