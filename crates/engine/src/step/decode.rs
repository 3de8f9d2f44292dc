//! Reads a step: one key says what it does, the others how.

use std::time::Duration;

use config::template::Template;
use config::{
    Code, Context, Decode, Diagnostic, Entry, Fields, Name, Node, NodeKind, Size, Spanned,
};

use crate::lock;

use super::{Draft, ExitCodes, Step, StepKind, command, flags, git, script};
use crate::reference;

/// A kind of step: its key, and how it is read. The other keys of the kind are asked from the
/// step's table.
pub(super) struct Kind {
    pub(super) key: &'static str,
    pub(super) decode: fn(&Entry, &mut Fields<'_>, &mut Context<'_>) -> Option<StepKind>,
}

const KINDS: &[Kind] = &[git::KIND, command::KIND, script::KIND];

/// Words of later versions.
const LATER_KINDS: &[&str] = &["upload", "download", "trigger", "approve"];
const LATER_KEYS: &[&str] = &[
    "as",
    "attach",
    "container",
    "egress",
    "for_each",
    "junit",
    "max_parallel",
    "metrics",
    "needs",
    "pam",
    "retry",
    "run_as",
    "wait",
];

impl Decode for Draft {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?.with_later(LATER_KEYS);
        if is_later(&fields, cx) {
            return None;
        }
        let kind = kind(&mut fields, cx);
        let default_name = kind.as_ref().map_or("step", |(key, _)| key);
        let given: Option<Option<Spanned<Name>>> = fields.optional("name", cx);
        let exit_codes = fields.or("exit_codes", ExitCodes::default(), cx);
        let flags = flags::decode(&mut fields, exit_codes.as_ref(), cx);
        let env = match fields.entry("env") {
            Some(entry) => environment(&entry.value, cx),
            None => Some(Vec::new()),
        };
        let workdir = below(&mut fields, "workdir", "the build directory", cx);
        let set_properties = below(&mut fields, "set_properties", "the working directory", cx);
        let timeout = positive(&mut fields, "timeout", cx);
        let silence_timeout = positive(&mut fields, "silence_timeout", cx);
        let max_output_bytes = size(&mut fields, "max_output", "64KiB", LEAST_OUTPUT_BYTES, cx);
        let max_processes = max_processes(&mut fields, cx);
        let memory_bytes = size(&mut fields, "memory", "4MiB", LEAST_MEMORY_BYTES, cx);
        let locks = lock::claims(&mut fields, cx);
        let when = fields.optional("when", cx);
        let always_run = fields.or("always_run", false, cx);
        let retry_safe = fields.or("retry_safe", false, cx);
        fields.finish(cx);
        let step = Step {
            name: fixed_name(default_name)?,
            kind: kind?.1,
            env: env?,
            workdir: workdir?,
            timeout: timeout?,
            silence_timeout: silence_timeout?,
            max_output_bytes: max_output_bytes?,
            max_processes: max_processes?,
            memory_bytes: memory_bytes?,
            locks: locks?,
            when: when?,
            set_properties: set_properties?,
            exit_codes: exit_codes?,
            flags: flags?,
            always_run: always_run?,
            retry_safe: retry_safe?,
        };
        Some(Self { given: given?, step })
    }
}

fn fixed_name(word: &str) -> Option<Name> {
    Name::parse(word).ok()
}

/// Finds the one key that says what the step does.
fn kind(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<(&'static str, StepKind)> {
    let mut found: Vec<(&Kind, &Entry)> = Vec::new();
    for kind in KINDS {
        if let Some(entry) = fields.entry(kind.key) {
            found.push((kind, entry));
        }
    }
    match found.as_slice() {
        [(kind, entry)] => Some((kind.key, (kind.decode)(entry, fields, cx)?)),
        [] => {
            report_kindless(fields, cx);
            None
        }
        [(_, first), (_, second), ..] => {
            let problem =
                Diagnostic::new(Code::Duplicate, second.key_span, "a step does exactly one thing");
            let problem = problem.also(first.key_span, "it already does this");
            cx.report(problem.help("make two steps of it"));
            None
        }
    }
}

/// Reports a step of a later kind, whose other keys are for that version to judge.
fn is_later(fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
    for later in LATER_KINDS {
        if let Some(entry) = fields.peek(later) {
            let message = format!("steps of kind `{later}` are not in this version");
            cx.report(Diagnostic::new(Code::NotYet, entry.key_span, message));
            return true;
        }
    }
    false
}

fn report_kindless(fields: &Fields<'_>, cx: &mut Context<'_>) {
    let words: Vec<&str> = KINDS.iter().map(|kind| kind.key).collect();
    let problem = Diagnostic::new(Code::MissingKey, fields.span(), "the step does nothing");
    cx.report(problem.help(format!("a step has one of: {}", words.join(", "))));
}

fn environment(node: &Node, cx: &mut Context<'_>) -> Option<Vec<(String, Template)>> {
    let NodeKind::Table(entries) = &node.kind else {
        cx.report(
            Diagnostic::new(Code::WrongType, node.span, "expected a table of variables")
                .help("write: env = { NAME = \"value\" }"),
        );
        return None;
    };
    let mut variables = Vec::new();
    for entry in entries {
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
            let message = "the name of a variable is not empty and holds no `=`";
            cx.report(Diagnostic::new(Code::BadName, entry.key_span, message));
        } else if let Some((value, secrets)) = Template::decode_for_env(&entry.value, cx) {
            secrets.into_iter().for_each(|secret| cx.refer(reference::SECRET, secret));
            variables.push((entry.key.clone(), value));
        }
    }
    Some(variables)
}

/// Paths below a directory; the worker checks again, with the symlinks it finds.
fn below(
    fields: &mut Fields<'_>,
    key: &'static str,
    directory: &str,
    cx: &mut Context<'_>,
) -> Option<Option<String>> {
    let Some(entry) = fields.entry(key) else { return Some(None) };
    let text = String::decode(&entry.value, cx)?;
    let is_below = !text.starts_with('/') && text.split('/').all(|part| part != "..");
    if !is_below {
        let message = format!("`{key}` lies below {directory}");
        let problem = Diagnostic::new(Code::OutOfRange, entry.value.span, message);
        cx.report(problem.help("use a relative path without `..`"));
        return None;
    }
    Some(Some(text))
}

/// Least cap of an output, in bytes: a head and a tail that say something.
const LEAST_OUTPUT_BYTES: u64 = 64 * 1024;
/// Least memory of a command, in bytes: a shell and a small program.
const LEAST_MEMORY_BYTES: u64 = 4 * 1024 * 1024;

fn size(
    fields: &mut Fields<'_>,
    key: &'static str,
    least: &str,
    least_bytes: u64,
    cx: &mut Context<'_>,
) -> Option<Option<u64>> {
    let Some(entry) = fields.entry(key) else { return Some(None) };
    let size = Size::decode(&entry.value, cx)?;
    if size.bytes < least_bytes {
        let message = format!("a `{key}` is at least \"{least}\"");
        cx.report(Diagnostic::new(Code::OutOfRange, entry.value.span, message));
        return None;
    }
    Some(Some(size.bytes))
}

/// Threads count as processes.
fn max_processes(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Option<u32>> {
    let Some(entry) = fields.entry("max_processes") else { return Some(None) };
    let most = u32::decode(&entry.value, cx)?;
    if most == 0 {
        let message = "a command is at least one process";
        cx.report(Diagnostic::new(Code::OutOfRange, entry.value.span, message));
        return None;
    }
    Some(Some(most))
}

fn positive(
    fields: &mut Fields<'_>,
    key: &'static str,
    cx: &mut Context<'_>,
) -> Option<Option<Duration>> {
    let Some(entry) = fields.entry(key) else { return Some(None) };
    let duration = Duration::decode(&entry.value, cx)?;
    if duration.is_zero() {
        let message = format!("a `{key}` of nothing ends every command at once");
        cx.report(Diagnostic::new(Code::OutOfRange, entry.value.span, message));
        return None;
    }
    Some(Some(duration))
}
