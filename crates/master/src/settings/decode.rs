//! Reads the whole tree: each kind of named thing, then the references between them.

use std::collections::{BTreeMap, BTreeSet};

use config::{
    Code, Context, Decode as _, Diagnostic, Entry, Fields, Name, NameKind, Node, NodeKind,
    SourceFile, Spanned,
};
use engine::lock::Lock;
use engine::reference;
use engine::scheduler::Scheduler;
use engine::settings::{App, Builder, Settings, WorkerGroup};

use super::{Configuration, MasterSection, WorkerPort};
use crate::change_source::ChangeSource;
use crate::secret_source::SecretSource;

/// The version of the configuration's language.
const VERSION: i64 = 1;

/// Kinds of later versions.
const LATER: &[&str] = &[
    "auth",
    "dashboard",
    "peer",
    "peer_client",
    "peer_port",
    "pool",
    "reporter",
    "role",
    "session",
    "web",
];

/// A name's kind that nothing may refer to: it is defined, and that is all.
const SCHEDULER: NameKind = NameKind { words: "scheduler", section: "scheduler" };

pub(super) fn decode(
    tree: &Node,
    files: &[SourceFile],
    problems: Vec<Diagnostic>,
) -> (Option<Configuration>, Vec<Diagnostic>) {
    let mut cx = Context::new(files, problems);
    let configuration = top(tree, &mut cx);
    cx.resolve(&[reference::WORKER, reference::BUILDER, reference::LOCK, reference::SECRET]);
    (configuration, cx.finish())
}

pub(super) fn top(tree: &Node, cx: &mut Context<'_>) -> Option<Configuration> {
    let mut fields = Fields::of(tree, cx)?.with_later(LATER);
    version(&mut fields, cx);
    let master = fields.required::<MasterSection>("master", cx);
    let worker_port = fields.optional::<WorkerPort>("worker_port", cx);
    let change_sources =
        named(fields.entry("change_source"), reference::CHANGE_SOURCE, cx, ChangeSource::decode);
    let workers = named(fields.entry("worker"), reference::WORKER, cx, |_name, node, cx| {
        WorkerGroup::decode(node, cx)
    });
    let locks =
        named(fields.entry("lock"), reference::LOCK, cx, |_name, node, cx| Lock::decode(node, cx));
    let builder_tables = fields.peek("builder").map(|entry| &entry.value);
    if let Some(locks) = &locks {
        engine::lock::check(builder_tables, locks, cx);
    }
    let builders = named(fields.entry("builder"), reference::BUILDER, cx, |_name, node, cx| {
        Builder::decode(node, cx)
    });
    let apps =
        named(fields.entry("app"), reference::APP, cx, |_name, node, cx| App::decode(node, cx));
    let schedulers = named(fields.entry("scheduler"), SCHEDULER, cx, Scheduler::decode);
    let secrets = named(fields.entry("secret"), reference::SECRET, cx, |_name, node, cx| {
        SecretSource::decode(node, cx)
    });
    let properties = engine::property::table(&mut fields, "properties", cx);
    fields.finish(cx);
    let engine = Settings {
        revision: 0,
        workers: workers?,
        schedulers: schedulers?,
        locks: locks?,
        builders: builders?,
        retired: BTreeSet::new(),
        apps: apps?,
        repositories: repositories(change_sources.as_ref()),
        properties: properties?,
        changeport: change_sources.as_ref().and_then(changeport),
    };
    Some(Configuration {
        master: master?,
        worker_port: worker_port?,
        change_sources: change_sources?,
        secrets: secrets?,
        engine,
    })
}

fn version(fields: &mut Fields<'_>, cx: &mut Context<'_>) {
    let Some(version) = fields.required::<Spanned<i64>>("version", cx) else { return };
    if version.value != VERSION {
        let message = format!("this program reads version {VERSION} of the configuration");
        let problem = Diagnostic::new(Code::OutOfRange, version.span, message);
        cx.report(problem.help(format!("write: version = {VERSION}")));
    }
}

/// Reads the tables of one kind. `None` after a problem in any of them.
fn named<T>(
    section: Option<&Entry>,
    kind: NameKind,
    cx: &mut Context<'_>,
    decode: impl Fn(&Name, &Node, &mut Context<'_>) -> Option<T>,
) -> Option<BTreeMap<Name, T>> {
    let Some(section) = section else { return Some(BTreeMap::new()) };
    let NodeKind::Table(entries) = &section.value.kind else {
        let message = format!("`{}` holds named tables", kind.section);
        let problem = Diagnostic::new(Code::WrongType, section.value.span, message);
        cx.report(problem.help(format!("write: [{}.NAME]", kind.section)));
        return None;
    };
    let mut is_whole = true;
    let mut map = BTreeMap::new();
    for entry in entries {
        let name = match Name::parse(&entry.key) {
            Ok(name) => name,
            Err(bad) => {
                cx.report(Diagnostic::new(Code::BadName, entry.key_span, bad.to_string()));
                is_whole = false;
                continue;
            }
        };
        cx.define(kind, Spanned { value: name.clone(), span: entry.key_span });
        match decode(&name, &entry.value, cx) {
            Some(thing) => {
                map.insert(name, thing);
            }
            None => is_whole = false,
        }
    }
    is_whole.then_some(map)
}

fn repositories(
    sources: Option<&BTreeMap<Name, ChangeSource>>,
) -> BTreeMap<Name, engine::step::Repository> {
    let sources = sources.into_iter().flatten();
    sources.filter_map(|(name, source)| Some((name.clone(), source.repository()?))).collect()
}

fn changeport(sources: &BTreeMap<Name, ChangeSource>) -> Option<Name> {
    let mut ports =
        sources.iter().filter(|(_, source)| matches!(source, ChangeSource::Changeport(_)));
    ports.next().map(|(name, _)| name.clone())
}
