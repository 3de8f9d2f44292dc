//! The `probe` table: what this machine is asked about itself.

use std::collections::BTreeMap;
use std::time::Duration;

use config::{Code, Context, Decode, Diagnostic, Fields, Name, Node, NodeKind};
use proto::limits;

/// Often enough to see what an administrator installs, and no load.
const INTERVAL: Duration = Duration::from_secs(600);
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// Programs by the name of what they find out, and how often they are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probes {
    /// Arguments, the program first.
    pub programs: BTreeMap<Name, Vec<String>>,
    pub interval: Duration,
}

struct Programs(BTreeMap<Name, Vec<String>>);

impl Probes {
    /// Reads the keys `probe` and `probe_interval`.
    pub(super) fn decode(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let programs = fields.or("probe", Programs(BTreeMap::new()), cx);
        let interval = match fields.entry("probe_interval") {
            Some(entry) => Duration::decode(&entry.value, cx).filter(|interval| {
                let is_long = *interval >= LEAST_INTERVAL;
                if !is_long {
                    let message = "probes are run once a second at most";
                    cx.report(Diagnostic::new(Code::OutOfRange, entry.value.span, message));
                }
                is_long
            }),
            None => Some(INTERVAL),
        };
        Some(Self { programs: programs?.0, interval: interval? })
    }
}

impl Decode for Programs {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Table(entries) = &node.kind else {
            let problem = Diagnostic::new(Code::WrongType, node.span, "expected programs by name");
            cx.report(problem.help("write: probe.python = [\"python3\", \"--version\"]"));
            return None;
        };
        if entries.len() > limits::PROBES {
            let message = format!("a worker has {} probes at most", limits::PROBES);
            cx.report(Diagnostic::new(Code::OutOfRange, node.span, message));
            return None;
        }
        let mut programs = BTreeMap::new();
        let mut is_whole = true;
        for entry in entries {
            let name = Name::parse(&entry.key)
                .inspect_err(|bad| {
                    cx.report(Diagnostic::new(Code::BadName, entry.key_span, bad.to_string()));
                })
                .ok();
            let argv = Vec::<String>::decode(&entry.value, cx).filter(|argv| {
                if argv.is_empty() {
                    let message = "a probe is a program and its arguments";
                    cx.report(Diagnostic::new(Code::OutOfRange, entry.value.span, message));
                }
                !argv.is_empty()
            });
            match (name, argv) {
                (Some(name), Some(argv)) => drop(programs.insert(name, argv)),
                (_, _) => is_whole = false,
            }
        }
        is_whole.then_some(Self(programs))
    }
}
