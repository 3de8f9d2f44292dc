//! How much a command may use on this worker, and by what it is limited.

use config::{Code, Context, Decode, Diagnostic, Fields, Node, Size, Spanned, choice};
use shim::{Choice, Version};

/// Processes and threads at once: more than any honest build needs, less than a machine has.
const DEFAULT_PROCESSES: u32 = 512;
/// Least of either key of memory, in bytes.
const LEAST_MEMORY_BYTES: u64 = 4 * 1024 * 1024;

/// The worker's own policy about what commands use; it wins over the master's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitPolicy {
    pub groups: Choice,
    pub processes: Bounds<u32>,
    pub memory: Bounds<u64>,
    /// Whether the file names a limit, and somebody counts on it.
    pub is_wanted: bool,
}

/// What a step gets that asks for nothing, and what it gets at most; absent: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds<T> {
    pub default: Option<T>,
    pub most: Option<T>,
}

impl<T: Ord + Copy> Bounds<T> {
    /// Returns what a step gets that asks for so much, or for nothing.
    pub(crate) fn granted(self, asked: Option<T>) -> Option<T> {
        let wanted = asked.or(self.default);
        [wanted, self.most].into_iter().flatten().min()
    }
}

impl LimitPolicy {
    /// Reads its keys of the worker's table.
    pub(super) fn decode(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let groups = groups(fields, cx);
        let processes = fields.optional::<Processes>("processes", cx);
        let memory = fields.optional::<Memory>("memory", cx);
        let (processes, memory) = (processes?, memory?);
        let or = Self::default();
        let is_wanted = processes.is_some() || memory.is_some();
        Some(Self {
            groups: groups?,
            processes: processes.map_or(or.processes, |Processes(bounds)| bounds),
            memory: memory.map_or(or.memory, |Memory(bounds)| bounds),
            is_wanted,
        })
    }
}

impl Default for LimitPolicy {
    fn default() -> Self {
        let memory = Bounds { default: None, most: None };
        Self { groups: Choice::Auto, processes: PROCESSES, memory, is_wanted: false }
    }
}

const PROCESSES: Bounds<u32> = Bounds { default: Some(DEFAULT_PROCESSES), most: None };

fn groups(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Choice> {
    let options = [
        ("auto", Choice::Auto),
        ("v2", Choice::Only(Version::V2)),
        ("v1", Choice::Only(Version::V1)),
        ("off", Choice::Off),
    ];
    match fields.entry("control_groups") {
        Some(entry) => choice(&entry.value, &options, cx),
        None => Some(Choice::Auto),
    }
}

struct Processes(Bounds<u32>);

impl Decode for Processes {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?;
        let default = fields.optional::<Spanned<u32>>("default", cx);
        let most = fields.optional::<Spanned<u32>>("most", cx);
        fields.finish(cx);
        for number in [&default, &most].into_iter().flatten().flatten() {
            if number.value == 0 {
                let message = "a command is at least one process";
                cx.report(Diagnostic::new(Code::OutOfRange, number.span, message));
            }
        }
        let value = |number: Option<Spanned<u32>>| number.map(|number| number.value);
        Some(Self(Bounds { default: value(default?).or(PROCESSES.default), most: value(most?) }))
    }
}

struct Memory(Bounds<u64>);

impl Decode for Memory {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?;
        let default = fields.optional::<Spanned<Size>>("default", cx);
        let most = fields.optional::<Spanned<Size>>("most", cx);
        fields.finish(cx);
        for size in [&default, &most].into_iter().flatten().flatten() {
            if size.value.bytes < LEAST_MEMORY_BYTES {
                let message = "a limit of memory is at least \"4MiB\"";
                cx.report(Diagnostic::new(Code::OutOfRange, size.span, message));
            }
        }
        let bytes = |size: Option<Spanned<Size>>| size.map(|size| size.value.bytes);
        Some(Self(Bounds { default: bytes(default?), most: bytes(most?) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_gets_what_it_asks_for_up_to_the_most() {
        let bounds = Bounds { default: Some(100), most: Some(1_000) };
        assert_eq!(bounds.granted(None), Some(100));
        assert_eq!(bounds.granted(Some(500)), Some(500));
        assert_eq!(bounds.granted(Some(2_000)), Some(1_000));
        assert_eq!(Bounds { default: None, ..bounds }.granted(None), Some(1_000));
        assert_eq!(Bounds { default: None, most: None }.granted(Some(7)), Some(7));
        assert_eq!(Bounds::<u32> { default: None, most: None }.granted(None), None);
    }
}
