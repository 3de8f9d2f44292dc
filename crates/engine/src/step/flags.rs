//! What the results of a step mean for its build: `on_failure` in a word, Buildbot's five flags
//! one by one.

use config::{Code, Context, Diagnostic, Fields, choice};

use super::ExitCodes;
use crate::result::{BuildResult, Flags};

/// Reads the flags: those of `on_failure`, and what is said otherwise of one.
pub(super) fn decode(
    fields: &mut Fields<'_>,
    codes: Option<&ExitCodes>,
    cx: &mut Context<'_>,
) -> Option<Flags> {
    let options = [("halt", Flags::HALT), ("continue", Flags::CONTINUE), ("warn", Flags::WARN)];
    let on_failure = match fields.entry("on_failure") {
        Some(entry) => choice(&entry.value, &options, cx),
        None => Some(Flags::HALT),
    };
    let usual = on_failure.unwrap_or(Flags::HALT);
    let mut flag = |key, usual| fields.or(key, usual, cx);
    let halt_on_failure = flag("halt_on_failure", usual.halt_on_failure);
    let flunk_on_failure = flag("flunk_on_failure", usual.flunk_on_failure);
    let warn_on_failure = flag("warn_on_failure", usual.warn_on_failure);
    let flunk_on_warnings = flag("flunk_on_warnings", usual.flunk_on_warnings);
    let warn_on_warnings = flag("warn_on_warnings", usual.warn_on_warnings);
    on_failure?;
    let flags = Flags {
        halt_on_failure: halt_on_failure?,
        flunk_on_failure: flunk_on_failure?,
        flunk_on_warnings: flunk_on_warnings?,
        warn_on_failure: warn_on_failure?,
        warn_on_warnings: warn_on_warnings?,
    };
    if let Some(codes) = codes {
        warn_of_idle(fields, flags, codes, cx);
    }
    Some(flags)
}

/// Warns of a flag that is set and changes nothing.
fn warn_of_idle(fields: &Fields<'_>, flags: Flags, codes: &ExitCodes, cx: &mut Context<'_>) {
    let mut idle = |key: &'static str, why: &str, help: &str| {
        if let Some(entry) = fields.peek(key) {
            let problem = Diagnostic::new(Code::NoEffect, entry.key_span, why);
            cx.report(problem.help(help));
        }
    };
    if flags.warn_on_failure && flags.flunk_on_failure {
        let help = "remove it, or add flunk_on_failure = false";
        idle("warn_on_failure", "a failure of this step fails the build anyway", help);
    }
    let warns = [
        (flags.flunk_on_warnings, "flunk_on_warnings"),
        (flags.warn_on_warnings, "warn_on_warnings"),
    ];
    if !codes.can_be(BuildResult::Warnings) {
        let help = "say which exit code means warnings: exit_codes = { 3 = \"warnings\" }";
        for (_, key) in warns.into_iter().filter(|(is_set, _)| *is_set) {
            idle(key, "this step never has warnings", help);
        }
    } else if flags.warn_on_warnings && flags.flunk_on_warnings {
        let help = "remove it, or `flunk_on_warnings`";
        idle("warn_on_warnings", "warnings of this step fail the build anyway", help);
    }
}
