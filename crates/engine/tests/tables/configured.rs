//! Reads the tables of a configuration that the engine knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use config::{
    Context, Decode as _, Entry, Fields, Name, Node, NodeKind, Severity, SourceFile, Style,
};
use engine::lock::Lock;
use engine::scheduler::Scheduler;
use engine::settings::{App, Builder, Settings, WorkerGroup};

use crate::yard::{SOURCE, named};

pub(crate) fn settings(text: &str) -> Settings {
    let path = PathBuf::from("yard.toml");
    let files = [SourceFile { path, folder: PathBuf::new(), text: text.to_owned() }];
    let (tree, problems) = config::parse(&files);
    let mut cx = Context::new(&files, problems);
    let mut fields = Fields::of(&tree, &mut cx).expect("a configuration is a table");
    let settings = Settings {
        revision: 1,
        workers: tables(fields.entry("worker"), &mut cx, |_, node, cx| {
            WorkerGroup::decode(node, cx)
        }),
        schedulers: tables(fields.entry("scheduler"), &mut cx, Scheduler::decode),
        retired: BTreeSet::new(),
        locks: tables(fields.entry("lock"), &mut cx, |_, node, cx| Lock::decode(node, cx)),
        builders: tables(fields.entry("builder"), &mut cx, |_, node, cx| Builder::decode(node, cx)),
        apps: tables(fields.entry("app"), &mut cx, |_, node, cx| App::decode(node, cx)),
        repositories: BTreeMap::new(),
        properties: engine::property::table(&mut fields, "properties", &mut cx).unwrap_or_default(),
        changeport: Some(named(SOURCE)),
    };
    fields.finish(&mut cx);
    let mut problems = cx.finish();
    problems.retain(|problem| problem.severity() == Severity::Error);
    assert!(problems.is_empty(), "{}", config::render(&problems, &files, Style::Plain));
    settings
}

fn tables<T>(
    section: Option<&Entry>,
    cx: &mut Context<'_>,
    decode: fn(&Name, &Node, &mut Context<'_>) -> Option<T>,
) -> BTreeMap<Name, T> {
    let Some(Entry { value: Node { kind: NodeKind::Table(entries), .. }, .. }) = section else {
        return BTreeMap::new();
    };
    let decoded = entries.iter().map(|entry| {
        let name = named(&entry.key);
        let thing = decode(&name, &entry.value, cx);
        thing.map(|thing| (name, thing))
    });
    decoded.collect::<Vec<_>>().into_iter().flatten().collect()
}
