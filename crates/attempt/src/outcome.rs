//! How a command ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The end of a command as the kernel or the protocol established it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Exited(i32),
    Signal(i32),
    Timeout,
    OutOfMemory,
    /// It was refused a process or thread: it had as many as it may.
    ProcessLimit,
    Cancelled,
    /// It could not be executed; the text says why.
    NotStarted(String),
    /// Its order could not be made, so its worker never heard of it; the text says why.
    Unsent(String),
    /// What became of it is not known; it may have run.
    Lost(LostReason),
}

/// Why an outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LostReason {
    /// Its supervisor on the worker was killed.
    Supervisor,
    /// The worker's machine was restarted.
    Reboot,
    /// The worker came back without the spool it had.
    Spool,
    /// The worker does not have a command it once reported.
    Forgotten,
    /// The database was restored from a backup, and what it knew of the command was outdated.
    Restored,
    /// Nobody waits any longer for the worker to come back and say.
    GivenUp,
}

impl LostReason {
    /// Every reason with its stable word.
    pub const WORDS: [(Self, &'static str); 6] = [
        (Self::Supervisor, "supervisor"),
        (Self::Reboot, "reboot"),
        (Self::Spool, "spool"),
        (Self::Forgotten, "forgotten"),
        (Self::Restored, "restored"),
        (Self::GivenUp, "given_up"),
    ];

    /// Returns the stable word, as stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Reboot => "reboot",
            Self::Spool => "spool",
            Self::Forgotten => "forgotten",
            Self::Restored => "restored",
            Self::GivenUp => "given_up",
        }
    }

    /// Reads a stable word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(reason, _)| *reason)
    }
}

impl Outcome {
    /// Reads what `Display` wrote; `None` where the text is something else.
    pub fn from_words(text: &str) -> Option<Self> {
        let Some((word, inner)) = text.strip_suffix(')').and_then(|text| text.split_once('('))
        else {
            return match text {
                "timeout" => Some(Self::Timeout),
                "oom" => Some(Self::OutOfMemory),
                "pids_limit" => Some(Self::ProcessLimit),
                "cancelled" => Some(Self::Cancelled),
                _ => None,
            };
        };
        match word {
            "exited" => inner.parse().ok().map(Self::Exited),
            "signal" => inner.parse().ok().map(Self::Signal),
            "not_started" => Some(Self::NotStarted(inner.to_owned())),
            "unsent" => Some(Self::Unsent(inner.to_owned())),
            "lost" => LostReason::from_word(inner).map(Self::Lost),
            _ => None,
        }
    }
}

/// Writes stable words for programs, as stored and shown in JSON.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited({code})"),
            Self::Signal(number) => write!(f, "signal({number})"),
            Self::Timeout => f.write_str("timeout"),
            Self::OutOfMemory => f.write_str("oom"),
            Self::ProcessLimit => f.write_str("pids_limit"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::NotStarted(why) => write!(f, "not_started({why})"),
            Self::Unsent(why) => write!(f, "unsent({why})"),
            Self::Lost(reason) => write!(f, "lost({})", reason.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_outcome_are_read_back() {
        let mut outcomes = vec![
            Outcome::Exited(-1),
            Outcome::Signal(9),
            Outcome::Timeout,
            Outcome::OutOfMemory,
            Outcome::ProcessLimit,
            Outcome::Cancelled,
            Outcome::NotStarted("cannot run (x): no such file (os error 2)".to_owned()),
            Outcome::NotStarted(String::new()),
            Outcome::Unsent("read secret `x` (a file): no".to_owned()),
        ];
        outcomes.extend(LostReason::WORDS.map(|(reason, _)| Outcome::Lost(reason)));
        for outcome in outcomes {
            assert_eq!(Outcome::from_words(&outcome.to_string()), Some(outcome));
        }
        for other in ["", "exited(x)", "lost(keys)", "timeout()", "there is no `prop.x` here"] {
            assert_eq!(Outcome::from_words(other), None, "{other}");
        }
    }
}
