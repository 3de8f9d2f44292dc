//! How much output of a command this worker keeps.

use config::{Code, Context, Decode, Diagnostic, Fields, Node, Size, Spanned};

const DEFAULT_BYTES: u64 = 128 * 1024 * 1024;
/// Least of either key, in bytes.
const LEAST_BYTES: u64 = 64 * 1024;

/// The worker's own policy about output; it wins over the master's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutputPolicy {
    /// For steps without `max_output`. Default: 128 MiB.
    pub default_bytes: u64,
    /// Whatever a step asks for. Default: no limit.
    pub most_bytes: u64,
}

impl OutputPolicy {
    /// Returns what a step gets that asks for so much, or for nothing.
    pub(crate) fn granted(self, asked_bytes: Option<u64>) -> u64 {
        asked_bytes.unwrap_or(self.default_bytes).min(self.most_bytes)
    }
}

impl Default for OutputPolicy {
    fn default() -> Self {
        Self { default_bytes: DEFAULT_BYTES, most_bytes: u64::MAX }
    }
}

impl Decode for OutputPolicy {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?;
        let default = fields.optional::<Spanned<Size>>("default", cx);
        let most = fields.optional::<Spanned<Size>>("most", cx);
        fields.finish(cx);
        for size in [&default, &most].into_iter().flatten().flatten() {
            if size.value.bytes < LEAST_BYTES {
                let message = "a cap of output is at least \"64KiB\"";
                cx.report(Diagnostic::new(Code::OutOfRange, size.span, message));
            }
        }
        let bytes = |size: Option<Spanned<Size>>, or| size.map_or(or, |size| size.value.bytes);
        Some(Self {
            default_bytes: bytes(default?, Self::default().default_bytes),
            most_bytes: bytes(most?, Self::default().most_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_gets_what_it_asks_for_up_to_the_most() {
        let policy = OutputPolicy { default_bytes: 100, most_bytes: 1_000 };
        assert_eq!(policy.granted(None), 100);
        assert_eq!(policy.granted(Some(10)), 10);
        assert_eq!(policy.granted(Some(2_000)), 1_000);
        assert_eq!(OutputPolicy { most_bytes: 50, ..policy }.granted(None), 50);
    }
}
