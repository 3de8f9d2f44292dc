//! How much a command may use on this worker, and by what it is limited.

use config::{Context, Decode, Fields, Node, Size, choice};
use shim::{Choice, Version};

use super::bounds::{Bounds, Key};

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
        let complaint = "a command is at least one process";
        let key = Key { value: |number: &u32| *number, least: 1, complaint };
        let bounds = Bounds::decode(node, cx, &key)?;
        Some(Self(Bounds { default: bounds.default.or(PROCESSES.default), ..bounds }))
    }
}

struct Memory(Bounds<u64>);

impl Decode for Memory {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let complaint = "a limit of memory is at least \"4MiB\"";
        let key = Key { value: |size: &Size| size.bytes, least: LEAST_MEMORY_BYTES, complaint };
        Bounds::decode(node, cx, &key).map(Self)
    }
}
