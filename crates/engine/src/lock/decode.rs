//! Reads locks, and what builders and steps need of them.

use std::collections::BTreeMap;

use config::{Code, Context, Decode, Diagnostic, Fields, Name, Node, NodeKind, Spanned, choice};

use super::{Access, Claim, Lock, Scope};
use crate::reference;

impl Decode for Lock {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?.with_later(&["path", "was"]);
        let scope = match fields.entry("scope") {
            Some(entry) => {
                let words = [("master", Scope::Master), ("worker", Scope::Worker)];
                choice(&entry.value, &words, cx)
            }
            None => Some(Scope::Master),
        };
        let max: Option<Option<Units>> = fields.optional("max", cx);
        let place = fields.peek("max_for_worker").map(|entry| entry.key_span);
        let max_for_worker: Option<BTreeMap<Name, Units>> =
            fields.or("max_for_worker", BTreeMap::new(), cx);
        if let (Some(Scope::Master), Some(place)) = (scope, place) {
            let message = "a lock of the whole master has one maximum";
            let problem = Diagnostic::new(Code::OutOfRange, place, message);
            cx.report(problem.help("write: scope = \"worker\", or leave `max_for_worker` out"));
        }
        fields.finish(cx);
        let max_for_worker = max_for_worker?.into_iter().map(|(name, Units(units))| (name, units));
        Some(Self {
            scope: scope?,
            max: max?.map_or(1, |Units(units)| units),
            max_for_worker: max_for_worker.collect(),
        })
    }
}

/// A maximum: at least one.
struct Units(u32);

impl Decode for Units {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let units = u32::decode(node, cx)?;
        if units == 0 {
            let message = "a lock of which there is none is never taken";
            let problem = Diagnostic::new(Code::OutOfRange, node.span, message);
            cx.report(problem.help("write at least 1"));
            return None;
        }
        Some(Self(units))
    }
}

impl Decode for Claim {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if !matches!(node.kind, NodeKind::Table(_)) {
            let problem = Diagnostic::new(Code::WrongType, node.span, "expected a lock to take");
            let help = "write: { name = \"deploy\", access = \"exclusive\" }, or \
                        { name = \"seats\", access = \"counting\", count = 1 }";
            cx.report(problem.help(help));
            return None;
        }
        let mut fields = Fields::of(node, cx)?;
        let lock: Option<Spanned<Name>> = fields.required("name", cx);
        let access = access(&mut fields, cx);
        fields.finish(cx);
        let lock = lock?;
        cx.refer(reference::LOCK, lock.clone());
        Some(Self { lock: lock.value, access: access? })
    }
}

fn access(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Access> {
    let is_counting = match fields.entry("access") {
        Some(entry) => choice(&entry.value, &[("exclusive", false), ("counting", true)], cx),
        None => Some(false),
    };
    let count: Option<Option<Spanned<u32>>> = fields.optional("count", cx);
    match (is_counting?, count?) {
        (true, count) => Some(Access::Counting(count.map_or(1, |count| count.value))),
        (false, None) => Some(Access::Exclusive),
        (false, Some(count)) => {
            let message = "an exclusive lock is taken as a whole";
            let problem = Diagnostic::new(Code::OutOfRange, count.span, message);
            cx.report(problem.help("write: access = \"counting\", or leave `count` out"));
            None
        }
    }
}

/// Reads the key `locks`.
pub(crate) fn claims(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Vec<Claim>> {
    fields.or("locks", Vec::new(), cx)
}
