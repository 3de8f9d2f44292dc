//! What a build has to end as: Buildbot's rules a second time, step by step, from what its commands
//! came to.

use attempt::{Outcome, Properties};
use config::Condition;
use engine::BuildResult;
use engine::row::{Build, StepState};
use engine::step::Step;

/// From the worst to the best.
const WORST_FIRST: [BuildResult; 7] = [
    BuildResult::Cancelled,
    BuildResult::Retry,
    BuildResult::Exception,
    BuildResult::Failure,
    BuildResult::Warnings,
    BuildResult::Success,
    BuildResult::Skipped,
];

/// How the last command of a step ended, and what it left.
pub(crate) struct Last<'a> {
    pub(crate) outcome: &'a Outcome,
    pub(crate) left: Option<&'a Properties>,
}

impl Last<'_> {
    /// What it set `level` to.
    pub(crate) fn level(&self) -> Option<String> {
        let (Outcome::Exited(_), Some(Properties::Written(text))) = (self.outcome, self.left)
        else {
            return None;
        };
        let text = std::str::from_utf8(text).expect("it is text");
        let level = text.strip_prefix("{\"level\": \"")?.strip_suffix("\"}")?;
        Some(level.to_owned())
    }

    /// Whether what it left is an object without what is not for it to set.
    fn is_good(&self) -> bool {
        self.level().is_some() || self.left == Some(&Properties::Written(b"{}".to_vec()))
    }
}

/// Returns the result of a build that nobody stopped or gave up. `level` is the property of that
/// name before a step.
pub(crate) fn judge<'a>(
    build: &Build,
    level: impl Fn(usize) -> String,
    last: impl Fn(usize) -> Option<Last<'a>>,
) -> BuildResult {
    let mut seen = vec![BuildResult::Success];
    let mut is_over = false;
    for (index, (step, progress)) in build.plan.steps.iter().zip(&build.steps).enumerate() {
        let StepState::Done { result, .. } = progress.state else {
            panic!("step {} of {} is not over", step.name, build.name);
        };
        if is_over && !step.always_run {
            let left_out = (result, progress.attempts);
            assert_eq!(left_out, (BuildResult::Skipped, 0), "{} of {}", step.name, build.name);
            continue;
        }
        let is_asked_for = match step.when.as_ref().map(Condition::text) {
            Some("prop.level == \"0\"") => level(index) == "0",
            Some(_) => level(index) != "0",
            None => true,
        };
        if !is_asked_for {
            let left_out = (result, progress.attempts);
            assert_eq!(left_out, (BuildResult::Skipped, 0), "{} of {}", step.name, build.name);
            continue;
        }
        let last = last(index);
        let last = last.unwrap_or_else(|| panic!("{} of {} ran", step.name, build.name));
        assert_eq!(result, said(step, &last), "{} of {}", step.name, build.name);
        seen.push(for_the_build(step, result));
        let is_bad = WORST_FIRST[..3].contains(&result);
        is_over |= is_bad || (result == BuildResult::Failure && step.flags.halt_on_failure);
    }
    let mut order = WORST_FIRST.into_iter();
    order.find(|result| seen.contains(result)).expect("a build has a result")
}

/// What a program said by its end.
fn said(step: &Step, last: &Last<'_>) -> BuildResult {
    match last.outcome {
        Outcome::Exited(code) => {
            let known = step.exit_codes.0.iter().find(|(known, _)| i32::from(**known) == *code);
            let usual = [BuildResult::Failure, BuildResult::Success][usize::from(*code == 0)];
            let result = known.map_or(usual, |(_, result)| *result);
            let owes = step.set_properties.is_some() && result != BuildResult::Failure;
            if owes && !last.is_good() { BuildResult::Exception } else { result }
        }
        Outcome::Lost(_) | Outcome::Unsent(_) => BuildResult::Exception,
        Outcome::Cancelled => BuildResult::Cancelled,
        Outcome::Signal(_)
        | Outcome::Timeout
        | Outcome::OutOfMemory
        | Outcome::ProcessLimit
        | Outcome::NotStarted(_) => BuildResult::Failure,
    }
}

fn for_the_build(step: &Step, result: BuildResult) -> BuildResult {
    let flags = &step.flags;
    let (flunks, warns) = match result {
        BuildResult::Failure => (flags.flunk_on_failure, flags.warn_on_failure),
        BuildResult::Warnings => (flags.flunk_on_warnings, flags.warn_on_warnings),
        BuildResult::Success
        | BuildResult::Skipped
        | BuildResult::Exception
        | BuildResult::Retry
        | BuildResult::Cancelled => return result,
    };
    match (flunks, warns) {
        (true, _) => BuildResult::Failure,
        (false, true) => BuildResult::Warnings,
        (false, false) => BuildResult::Success,
    }
}
