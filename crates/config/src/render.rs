//! Shows diagnostics: as text with the lines they are about, and as JSON in the shape editors
//! know from the Language Server Protocol.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value as Json, json};

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::source::{SourceFile, Span};

/// How text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Coloured,
}

/// Shows all problems, then their count.
pub fn render(problems: &[Diagnostic], files: &[SourceFile], style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    let mut text = String::new();
    for problem in problems {
        text.push_str(&renderer.render(&[group(problem, files)]));
        text.push_str("\n\n");
    }
    let errors = problems.iter().filter(|p| p.severity() == Severity::Error).count();
    let warnings = problems.len() - errors;
    let name = files.first().map(|file| file.path.display().to_string()).unwrap_or_default();
    let plural =
        |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let counts = match (errors, warnings) {
        (0, 0) => "no problems".to_owned(),
        (0, _) => plural(warnings, "warning"),
        (_, 0) => format!("{}; nothing was changed", plural(errors, "error")),
        (_, _) => {
            format!(
                "{}, {}; nothing was changed",
                plural(errors, "error"),
                plural(warnings, "warning")
            )
        }
    };
    text.push_str(&format!("{name}: {counts}\n"));
    text
}

fn group<'a>(problem: &'a Diagnostic, files: &'a [SourceFile]) -> Group<'a> {
    let level = match problem.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&problem.message).id(problem.code.code());
    let mut group = Group::with_title(title);
    let primary = &problem.primary;
    let related = problem.secondary.as_ref();
    // What is rendered ends up in logs, where a password does not belong.
    let is_secret = problem.code == Code::SecretInAddress;
    if let Some(file) = files.get(primary.span.file).filter(|_| is_secret) {
        let before = file.text.get(..primary.span.start).unwrap_or_default();
        let origin = Origin::path(file.path.to_string_lossy());
        group = group.element(origin.line(1 + before.matches('\n').count()));
    } else if let Some(file) = files.get(primary.span.file) {
        let mut snippet =
            snippet(file).annotation(annotation(primary, AnnotationKind::Primary, file));
        if let Some(label) = related.filter(|label| label.span.file == primary.span.file) {
            snippet = snippet.annotation(annotation(label, AnnotationKind::Context, file));
        }
        group = group.element(snippet);
    }
    if let Some(label) = related.filter(|label| label.span.file != primary.span.file)
        && let Some(file) = files.get(label.span.file)
    {
        group = group.element(snippet(file).annotation(annotation(
            label,
            AnnotationKind::Context,
            file,
        )));
    }
    match &problem.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

fn snippet(file: &SourceFile) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    Snippet::source(&file.text).path(file.path.to_string_lossy())
}

fn annotation<'a>(
    label: &'a Label,
    kind: AnnotationKind,
    file: &SourceFile,
) -> annotate_snippets::Annotation<'a> {
    let end = label.span.end.min(file.text.len());
    let annotation = kind.span(label.span.start.min(end)..end);
    if label.text.is_empty() { annotation } else { annotation.label(&label.text) }
}

/// Returns the problems as an array of LSP diagnostics, each with its file.
pub fn to_json(problems: &[Diagnostic], files: &[SourceFile]) -> String {
    let items = problems.iter().map(|problem| {
        let mut item = json!({
            "file": path(problem.primary.span, files),
            "range": range(problem.primary.span, files),
            "severity": match problem.severity() { Severity::Error => 1, Severity::Warning => 2 },
            "code": problem.code.code(),
            "source": "yardmaster",
            "message": message(problem),
        });
        if let Some(label) = &problem.secondary {
            item["relatedInformation"] = json!([{
                "location": { "uri": path(label.span, files), "range": range(label.span, files) },
                "message": label.text,
            }]);
        }
        item
    });
    Json::Array(items.collect()).to_string()
}

fn message(problem: &Diagnostic) -> String {
    let more = [problem.primary.text.as_str(), problem.help.as_deref().unwrap_or_default()];
    let more: Vec<&str> = more.into_iter().filter(|text| !text.is_empty()).collect();
    if more.is_empty() {
        return problem.message.clone();
    }
    format!("{} ({})", problem.message, more.join("; "))
}

fn path(span: Span, files: &[SourceFile]) -> String {
    files.get(span.file).map(|file| file.path.display().to_string()).unwrap_or_default()
}

/// Lines and UTF-16 characters from 0, as the protocol counts.
fn range(span: Span, files: &[SourceFile]) -> Json {
    let text = files.get(span.file).map(|file| file.text.as_str()).unwrap_or_default();
    let position = |at: usize| {
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count();
        let character = before.rsplit('\n').next().unwrap_or_default().encode_utf16().count();
        json!({ "line": line, "character": character })
    };
    json!({ "start": position(span.start), "end": position(span.end) })
}
