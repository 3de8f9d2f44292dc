//! Looks for locks that nobody could ever be given.

use std::collections::BTreeMap;

use config::{Code, Context, Diagnostic, Name, Node, NodeKind, Span};

use super::Lock;

/// A lock that a builder's table names.
struct Use<'n> {
    lock: &'n str,
    place: Span,
    count: Option<(i64, Span)>,
}

/// Where a builder's locks are taken: for the whole build, and within it for a step.
struct Uses<'n> {
    build: Vec<Use<'n>>,
    steps: Vec<Vec<Use<'n>>>,
}

fn value<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let NodeKind::Table(entries) = &node.kind else { return None };
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    match value(node, key).map(|value| &value.kind) {
        Some(NodeKind::Array(nodes)) => nodes,
        Some(_) | None => &[],
    }
}

fn uses(node: &Node) -> Vec<Use<'_>> {
    let one = |claim| {
        let count = value(claim, "count").and_then(|node| {
            let NodeKind::Integer(count) = node.kind else { return None };
            Some((count, node.span))
        });
        let place = value(claim, "name")?.span;
        Some(Use { lock: claim.text_of("name")?, place, count })
    };
    list(node, "locks").iter().filter_map(one).collect()
}

impl<'n> Uses<'n> {
    fn of(builder: &'n Node) -> Self {
        let steps = list(builder, "steps").iter().map(uses).collect();
        Self { build: uses(builder), steps }
    }

    /// Reports what is wrong within one builder.
    fn check(&self, locks: &BTreeMap<Name, Lock>, cx: &mut Context<'_>) {
        report_repeated(&self.build, &[], cx);
        for step in &self.steps {
            report_repeated(step, &self.build, cx);
        }
        for one in self.build.iter().chain(self.steps.iter().flatten()) {
            report_too_many(one, locks, cx);
        }
    }
}

/// A lock that is taken twice would be waited for by whoever holds it.
fn report_repeated(uses: &[Use<'_>], held: &[Use<'_>], cx: &mut Context<'_>) {
    for (at, one) in uses.iter().enumerate() {
        let before = uses[..at].iter().chain(held).find(|before| before.lock == one.lock);
        if let Some(before) = before {
            let message = format!("the lock `{}` is taken twice", one.lock);
            let problem = Diagnostic::new(Code::LockTrouble, one.place, message);
            let problem = problem.also(before.place, "it is taken here already");
            cx.report(problem.help("a build keeps its locks to its end: take it once"));
        }
    }
}

fn report_too_many(one: &Use<'_>, locks: &BTreeMap<Name, Lock>, cx: &mut Context<'_>) {
    let Some((count, place)) = one.count else { return };
    let lock = locks.iter().find(|(name, _)| name.as_str() == one.lock);
    let Some(least) = lock.map(|(_, lock)| lock.least()) else { return };
    if count > i64::from(least) {
        let message = format!("{count} units of the lock `{}` are never free", one.lock);
        let problem = Diagnostic::new(Code::LockTrouble, place, message);
        cx.report(problem.help(format!("there are at most {least} of it")));
    }
}

/// Reports locks that could never be taken, and builders that could wait for each other for ever.
/// `builders` is the table of all builders as it stands.
pub fn check(builders: Option<&Node>, locks: &BTreeMap<Name, Lock>, cx: &mut Context<'_>) {
    let Some(NodeKind::Table(entries)) = builders.map(|node| &node.kind) else { return };
    let all: Vec<Uses<'_>> = entries.iter().map(|entry| Uses::of(&entry.value)).collect();
    all.iter().for_each(|uses| uses.check(locks, cx));
    report_cycles(&all, cx);
}

/// A build that has a lock to its end and waits for another within a step makes an order of them.
/// Where two orders contradict each other, two builds can wait for each other.
fn report_cycles(all: &[Uses<'_>], cx: &mut Context<'_>) {
    let mut after: BTreeMap<&str, BTreeMap<&str, Span>> = BTreeMap::new();
    for uses in all {
        for held in &uses.build {
            for wanted in uses.steps.iter().flatten().filter(|wanted| wanted.lock != held.lock) {
                after.entry(held.lock).or_default().entry(wanted.lock).or_insert(wanted.place);
            }
        }
    }
    for (first, seconds) in &after {
        for (second, place) in seconds {
            let Some(back) = way_back(&after, second, first) else { continue };
            let message = format!(
                "a build that has the lock `{first}` waits here for `{second}`, and one that has \
                 `{second}` can wait for `{first}`"
            );
            let problem = Diagnostic::new(Code::LockTrouble, *place, message);
            let problem = problem.also(back, "this is where the others wait");
            cx.report(problem.help("take both for the whole build, in `locks` of the builder"));
        }
    }
}

/// Returns where a way begins that leads from one lock to another.
fn way_back(after: &BTreeMap<&str, BTreeMap<&str, Span>>, from: &str, to: &str) -> Option<Span> {
    let mut seen = vec![from];
    let mut at = 0;
    while let Some(lock) = seen.get(at).copied() {
        for next in after.get(lock).into_iter().flat_map(BTreeMap::keys) {
            if !seen.contains(next) {
                seen.push(next);
            }
        }
        at += 1;
    }
    let first = after.get(from)?.values().next().copied();
    seen.contains(&to).then_some(first).flatten()
}
