//! The result algebra: Buildbot's seven results and how steps make a build's.

use std::fmt;

use attempt::{LostReason, Outcome};
use config::Name;
use serde::{Deserialize, Serialize};

/// The result of a step, build or request. Numbers and names are Buildbot's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BuildResult {
    Success,
    Warnings,
    Failure,
    Skipped,
    Exception,
    Retry,
    Cancelled,
}

impl BuildResult {
    /// Every result, in the order of Buildbot's numbers.
    pub const ALL: [Self; 7] = [
        Self::Success,
        Self::Warnings,
        Self::Failure,
        Self::Skipped,
        Self::Exception,
        Self::Retry,
        Self::Cancelled,
    ];

    /// Returns Buildbot's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Warnings => "WARNINGS",
            Self::Failure => "FAILURE",
            Self::Skipped => "SKIPPED",
            Self::Exception => "EXCEPTION",
            Self::Retry => "RETRY",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Reads Buildbot's word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.word() == word)
    }

    fn badness(self) -> u8 {
        match self {
            Self::Skipped => 0,
            Self::Success => 1,
            Self::Warnings => 2,
            Self::Failure => 3,
            Self::Exception => 4,
            Self::Retry => 5,
            Self::Cancelled => 6,
        }
    }

    /// Says whether it is as bad as a failure, or worse.
    pub(crate) fn is_bad(self) -> bool {
        self.badness() >= Self::Failure.badness()
    }

    /// Returns the worse of two results:
    /// CANCELLED > RETRY > EXCEPTION > FAILURE > WARNINGS > SUCCESS > SKIPPED.
    pub fn worst(self, other: Self) -> Self {
        if other.badness() > self.badness() { other } else { self }
    }
}

impl fmt::Display for BuildResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Buildbot's five flags of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the five flags are Buildbot's vocabulary")]
pub struct Flags {
    pub halt_on_failure: bool,
    pub flunk_on_failure: bool,
    pub flunk_on_warnings: bool,
    pub warn_on_failure: bool,
    pub warn_on_warnings: bool,
}

impl Flags {
    /// `on_failure = "halt"`: the build fails and ends.
    pub const HALT: Self = Self {
        halt_on_failure: true,
        flunk_on_failure: true,
        flunk_on_warnings: false,
        warn_on_failure: false,
        warn_on_warnings: false,
    };
    /// `on_failure = "continue"`: the build fails and goes on.
    pub const CONTINUE: Self = Self { halt_on_failure: false, ..Self::HALT };
    /// `on_failure = "warn"`: the build has warnings and goes on.
    pub const WARN: Self =
        Self { flunk_on_failure: false, warn_on_failure: true, ..Self::CONTINUE };
}

/// What one step's result means for its build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// What it adds to the build's result; nothing where it was skipped.
    pub adds: Option<BuildResult>,
    /// Whether only steps that always run may follow.
    pub ends_build: bool,
}

/// Applies the flags of a step to its result.
pub fn effect(flags: Flags, result: BuildResult) -> Effect {
    let goes_on = |adds| Effect { adds: Some(adds), ends_build: false };
    match result {
        BuildResult::Success => goes_on(BuildResult::Success),
        BuildResult::Skipped => Effect { adds: None, ends_build: false },
        BuildResult::Warnings if flags.flunk_on_warnings => goes_on(BuildResult::Failure),
        BuildResult::Warnings if flags.warn_on_warnings => goes_on(BuildResult::Warnings),
        BuildResult::Warnings => goes_on(BuildResult::Success),
        BuildResult::Failure => {
            let adds = if flags.flunk_on_failure {
                BuildResult::Failure
            } else if flags.warn_on_failure {
                BuildResult::Warnings
            } else {
                BuildResult::Success
            };
            Effect { adds: Some(adds), ends_build: flags.halt_on_failure }
        }
        BuildResult::Exception | BuildResult::Retry | BuildResult::Cancelled => {
            Effect { adds: Some(result), ends_build: true }
        }
    }
}

/// What a launcher exits with, and whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// The program's own code, or 128+n where a signal ended it.
    Own(u8),
    /// Ours: the program did not come to an end of its own.
    Ours(u8),
}

impl Exit {
    /// Returns the code, whoever it is from.
    pub fn code(self) -> u8 {
        match self {
            Self::Own(code) | Self::Ours(code) => code,
        }
    }
}

/// Exit codes of a launcher that are not the program's own. Source: `sysexits.h` and the shells'
/// conventions.
pub mod exit_code {
    pub const UNKNOWN_OUTCOME: u8 = 74;
    pub const NEVER_RAN: u8 = 75;
    pub const CONFIG: u8 = 78;
    pub const TIMEOUT: u8 = 124;
    pub const NOT_EXECUTABLE: u8 = 126;
    pub const CANCELLED: u8 = 130;
    pub const KILLED: u8 = 137;
}

/// Returns the step's result for the outcome of its command.
pub fn of_outcome(outcome: &Outcome) -> BuildResult {
    match outcome {
        Outcome::Exited(0) => BuildResult::Success,
        Outcome::Exited(_)
        | Outcome::Signal(_)
        | Outcome::Timeout
        | Outcome::OutOfMemory
        | Outcome::ProcessLimit
        | Outcome::NotStarted(_) => BuildResult::Failure,
        Outcome::Cancelled => BuildResult::Cancelled,
        Outcome::Unsent(_)
        | Outcome::Lost(
            LostReason::Supervisor
            | LostReason::Reboot
            | LostReason::Spool
            | LostReason::Forgotten
            | LostReason::Restored
            | LostReason::GivenUp,
        ) => BuildResult::Exception,
    }
}

/// Says in a sentence for people how a step ended that did not come to an end of its own.
pub(crate) fn sentence(step: &Name, outcome: &Outcome) -> String {
    let what = match outcome {
        Outcome::Exited(code) => format!("exited with {code}"),
        Outcome::Signal(number) => format!("was ended by signal {number}"),
        Outcome::Timeout => "took longer than its time limit".to_owned(),
        Outcome::OutOfMemory => "ran out of memory".to_owned(),
        Outcome::ProcessLimit => "was refused a process: it had as many as it may".to_owned(),
        Outcome::Cancelled => "was cancelled".to_owned(),
        Outcome::NotStarted(why) | Outcome::Unsent(why) => format!("did not start: {why}"),
        Outcome::Lost(reason) => {
            let why = match reason {
                LostReason::Supervisor => "its supervisor was killed",
                LostReason::Reboot => "the worker's machine was restarted",
                LostReason::Spool => "the worker came back without its spool",
                LostReason::Forgotten => "the worker no longer knows of it",
                LostReason::Restored => {
                    "the database was restored from a backup made before its end"
                }
                LostReason::GivenUp => "its worker was given up",
            };
            format!("was lost: {why}")
        }
    };
    format!("step {step} {what}")
}

/// Returns what a shell would show for the outcome: the program's own code, 128+n for a signal.
pub fn exit_of(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Exited(code) => Exit::Own(u8::try_from(*code & 0xff).unwrap_or(u8::MAX)),
        Outcome::Signal(number) => {
            Exit::Own(u8::try_from(128 + (*number & 0x7f)).unwrap_or(u8::MAX))
        }
        Outcome::Timeout => Exit::Ours(exit_code::TIMEOUT),
        Outcome::OutOfMemory | Outcome::ProcessLimit => Exit::Ours(exit_code::KILLED),
        Outcome::Cancelled => Exit::Ours(exit_code::CANCELLED),
        Outcome::NotStarted(_) => Exit::Ours(exit_code::NOT_EXECUTABLE),
        Outcome::Unsent(_) => Exit::Ours(exit_code::CONFIG),
        Outcome::Lost(_) => Exit::Ours(exit_code::UNKNOWN_OUTCOME),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_is_not_the_programs_own_is_a_sentence() {
        let step = Name::parse("tests").unwrap();
        let why = "cannot run /x/y: No such file or directory (os error 2)";
        for (outcome, expected) in [
            (Outcome::Exited(3), "step tests exited with 3"),
            (Outcome::Signal(11), "step tests was ended by signal 11"),
            (Outcome::Timeout, "step tests took longer than its time limit"),
            (Outcome::OutOfMemory, "step tests ran out of memory"),
            (Outcome::Cancelled, "step tests was cancelled"),
            (Outcome::NotStarted(why.to_owned()), &format!("step tests did not start: {why}")),
            (
                Outcome::Lost(LostReason::Supervisor),
                "step tests was lost: its supervisor was killed",
            ),
            (
                Outcome::Lost(LostReason::Reboot),
                "step tests was lost: the worker's machine was restarted",
            ),
            (
                Outcome::Lost(LostReason::Spool),
                "step tests was lost: the worker came back without its spool",
            ),
            (
                Outcome::Lost(LostReason::Forgotten),
                "step tests was lost: the worker no longer knows of it",
            ),
        ] {
            assert_eq!(sentence(&step, &outcome), expected);
        }
    }
}
