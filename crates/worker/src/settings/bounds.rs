//! What a step gets of something that it may ask for: the keys `default` and `most` of a table.

use config::{Code, Context, Decode, Diagnostic, Fields, Node, Spanned};

/// What a step gets that asks for nothing, and what it gets at most; absent: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds<T> {
    pub default: Option<T>,
    pub most: Option<T>,
}

/// How a key is read.
pub(super) struct Key<R, T> {
    /// What there is in what was written.
    pub(super) value: fn(&R) -> T,
    pub(super) least: T,
    /// What is said of less.
    pub(super) complaint: &'static str,
}

impl<T: Ord + Copy> Bounds<T> {
    /// Returns what a step gets that asks for so much, or for nothing.
    pub(crate) fn granted(self, asked: Option<T>) -> Option<T> {
        let wanted = asked.or(self.default);
        [wanted, self.most].into_iter().flatten().min()
    }

    /// Reads the table.
    pub(super) fn decode<R: Decode>(
        node: &Node,
        cx: &mut Context<'_>,
        key: &Key<R, T>,
    ) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?;
        let default = fields.optional::<Spanned<R>>("default", cx);
        let most = fields.optional::<Spanned<R>>("most", cx);
        fields.finish(cx);
        for written in [&default, &most].into_iter().flatten().flatten() {
            if (key.value)(&written.value) < key.least {
                cx.report(Diagnostic::new(Code::OutOfRange, written.span, key.complaint));
            }
        }
        let bound =
            |written: Option<Spanned<R>>| written.map(|written| (key.value)(&written.value));
        Some(Self { default: bound(default?), most: bound(most?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_gets_what_it_asks_for_up_to_the_most() {
        let bounds = Bounds { default: Some(100), most: Some(1_000) };
        assert_eq!(bounds.granted(None), Some(100));
        assert_eq!(bounds.granted(Some(10)), Some(10));
        assert_eq!(bounds.granted(Some(2_000)), Some(1_000));
        assert_eq!(Bounds { most: Some(50), ..bounds }.granted(None), Some(50));
        assert_eq!(Bounds { default: None, ..bounds }.granted(None), Some(1_000));
        assert_eq!(Bounds { default: None, most: None }.granted(Some(7)), Some(7));
        assert_eq!(Bounds::<u32> { default: None, most: None }.granted(None), None);
    }
}
