//! A small schema that uses every part of the toolkit.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::filter::ChangeFilter;
use config::template::{Argument, Template, check_script};
use config::{
    Context, Decode as _, Diagnostic, Fields, Kind, Name, NameKind, Node, NodeKind, SourceFile,
    Spanned, by_type, choice,
};

const BUILDER: NameKind = NameKind { words: "builder", section: "builder" };

/// What a scheduler does, as far as it matters here.
struct AnyBranch;

const KINDS: &[Kind<AnyBranch>] = &[Kind { name: "any_branch", decode: any_branch }];
const LATER: &[&str] = &["nightly"];

/// Returns a file as it would be read from `/etc/yard/`.
pub(crate) fn file(name: &str, text: &str) -> SourceFile {
    let folder = Path::new("/etc/yard").to_owned();
    SourceFile { path: PathBuf::from(name), folder, text: text.to_owned() }
}

/// Reads files and returns all problems.
pub(crate) fn check(files: &[SourceFile]) -> Vec<Diagnostic> {
    let (tree, problems) = config::parse(files);
    let mut cx = Context::new(files, problems);
    if let Some(fields) = Fields::of(&tree, &mut cx) {
        top(fields, &mut cx);
    }
    cx.resolve(&[BUILDER]);
    cx.finish()
}

fn top(fields: Fields<'_>, cx: &mut Context<'_>) {
    let mut fields = fields.with_later(&["web"]);
    let _version: Option<Spanned<i64>> = fields.required("version", cx);
    let _listen: Option<Option<SocketAddr>> = fields.optional("listen", cx);
    let _data: Option<Option<PathBuf>> = fields.optional("data", cx);
    let _labels: Option<BTreeMap<Name, u32>> = fields.or("labels", BTreeMap::new(), cx);
    named(&mut fields, "builder", Some(BUILDER), cx, builder);
    named(&mut fields, "scheduler", None, cx, |node, cx| {
        let _kind = by_type(node, KINDS, LATER, cx);
    });
    fields.finish(cx);
}

fn named(
    fields: &mut Fields<'_>,
    section: &'static str,
    kind: Option<NameKind>,
    cx: &mut Context<'_>,
    decode: fn(&Node, &mut Context<'_>),
) {
    let Some(section) = fields.entry(section) else { return };
    let NodeKind::Table(entries) = &section.value.kind else { return };
    for entry in entries {
        if let (Some(kind), Ok(value)) = (kind, Name::parse(&entry.key)) {
            cx.define(kind, Spanned { value, span: entry.key_span });
        }
        decode(&entry.value, cx);
    }
}

fn builder(node: &Node, cx: &mut Context<'_>) {
    let Some(fields) = Fields::of(node, cx) else { return };
    let mut fields = fields.with_later(&["locks", "forward"]);
    let _command: Option<Vec<Argument>> = fields.required_unless("command", &["forward"], cx);
    let _title: Option<Option<Template>> = fields.optional("title", cx);
    let _timeout: Option<Option<Duration>> = fields.optional("timeout", cx);
    let _fast: Option<bool> = fields.or("fast", false, cx);
    if let Some(entry) = fields.entry("script")
        && let Some(body) = String::decode(&entry.value, cx)
    {
        check_script(&body, entry.value.span, cx);
    }
    if let Some(entry) = fields.entry("on_failure") {
        let _chosen = choice(&entry.value, &[("halt", 0), ("warn", 1), ("continue", 2)], cx);
    }
    fields.finish(cx);
}

fn any_branch(node: &Node, cx: &mut Context<'_>) -> Option<AnyBranch> {
    let mut fields = Fields::of(node, cx)?;
    fields.entry("type");
    let builders: Option<Vec<Spanned<Name>>> = fields.required("builders", cx);
    for name in builders.into_iter().flatten() {
        cx.refer(BUILDER, name);
    }
    let _filter: Option<Option<ChangeFilter>> = fields.optional("filter", cx);
    fields.finish(cx);
    Some(AnyBranch)
}
