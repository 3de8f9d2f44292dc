//! Named amounts that builds take of their worker: processors, memory, whatever else is counted.

use std::collections::BTreeMap;
use std::fmt;

use config::{Code, Context, Decode, Diagnostic, Name, Node, NodeKind, Size};
use serde::{Deserialize, Serialize};

/// The resource whose amount is in bytes.
pub const MEMORY: &str = "memory";
/// The processors of a worker.
pub const CPUS: &str = "cpus";

/// Amounts by name; none where a name is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources(BTreeMap<String, u64>);

/// Of one resource there is not enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    pub resource: String,
    pub wanted: u64,
    pub free: u64,
    pub total: u64,
}

impl Resources {
    /// Makes them of names and amounts.
    pub fn new(amounts: impl IntoIterator<Item = (String, u64)>) -> Self {
        Self(amounts.into_iter().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.values().all(|amount| *amount == 0)
    }

    pub fn amount(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Says whether both want some of the same.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.0.iter().any(|(name, amount)| *amount > 0 && other.amount(name) > 0)
    }

    /// Returns what there is, where later amounts replace earlier ones.
    pub(crate) fn replaced_by(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().map(|(name, amount)| (name.clone(), *amount)));
        self
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let sum = self.0.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }

    /// Returns the first of what is wanted of which a worker has too little left.
    pub fn lack(&self, total: &Self, used: &Self) -> Option<Lack> {
        self.0.iter().find_map(|(resource, wanted)| {
            let total = total.amount(resource);
            let free = total.saturating_sub(used.amount(resource));
            let lack = Lack { resource: resource.clone(), wanted: *wanted, free, total };
            (*wanted > free).then_some(lack)
        })
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, wanted, free, total } = self;
        if resource == MEMORY {
            let mib = |bytes: &u64| bytes >> 20;
            let (wanted, free, total) = (mib(wanted), mib(free), mib(total));
            return write!(f, "{free} of {total} MiB of memory are free, and {wanted} are wanted");
        }
        write!(f, "{free} of {total} {resource} are free, and {wanted} are wanted")
    }
}

impl Decode for Resources {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Table(entries) = &node.kind else {
            let problem = Diagnostic::new(Code::WrongType, node.span, "expected amounts by name");
            cx.report(problem.help("write: { cpus = 4, memory = \"16GiB\", gpus = 1 }"));
            return None;
        };
        let mut amounts = BTreeMap::new();
        let mut is_whole = true;
        for entry in entries {
            if let Err(bad) = Name::parse(&entry.key) {
                cx.report(Diagnostic::new(Code::BadName, entry.key_span, bad.to_string()));
                is_whole = false;
            }
            let amount = if entry.key == MEMORY {
                Size::decode(&entry.value, cx).map(|size| size.bytes)
            } else {
                u32::decode(&entry.value, cx).map(u64::from)
            };
            match amount {
                Some(amount) => drop(amounts.insert(entry.key.clone(), amount)),
                None => is_whole = false,
            }
        }
        is_whole.then_some(Self(amounts))
    }
}
