//! Taking leave: no new builds, those that run to their end, then the end of the daemon.
//!
//! Only the master knows what a build still has to do between two of its commands, so it counts
//! the builds that are left. What is known here are commands: the daemon is not done before the
//! master has everything of the last one.

use std::fmt;

use proto::message::command::Readiness;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// What happens to commands that are left when the time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtDeadline {
    /// They go on, and the next daemon finds them.
    Leave,
    End,
}

/// A wish to take leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DrainOrder {
    /// Absent: it takes as long as it takes.
    pub deadline_ms: Option<u64>,
    pub at_deadline: AtDeadline,
}

/// How far the leave-taking is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    No,
    Waiting {
        until: Option<Instant>,
        at_deadline: AtDeadline,
        /// As the master said on this connection.
        builds_left: Option<u32>,
    },
}

/// Whether this worker takes builds, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Leave {
    Ready,
    /// `builds_left` is not known before a master has counted them, nor while none is there.
    Draining {
        builds_left: Option<u32>,
        commands_left: usize,
    },
}

impl Drain {
    /// Returns the word for the master.
    pub(super) fn readiness(self) -> Readiness {
        match self {
            Self::No => Readiness::Ready,
            Self::Waiting { .. } => Readiness::Draining,
        }
    }

    /// Notes what the master said.
    pub(super) fn told(&mut self, builds: Option<u32>) {
        if let Self::Waiting { builds_left, .. } = self {
            *builds_left = builds;
        }
    }

    /// Says how it stands, with so many commands that run or that the master does not have.
    pub(super) fn leave(self, commands_left: usize) -> Leave {
        match self {
            Self::No => Leave::Ready,
            Self::Waiting { builds_left, .. } => Leave::Draining { builds_left, commands_left },
        }
    }

    pub(super) fn until(self) -> Option<Instant> {
        match self {
            Self::No => None,
            Self::Waiting { until, .. } => until,
        }
    }
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("takes builds"),
            Self::Draining { builds_left, commands_left } => {
                f.write_str("draining: ")?;
                match builds_left {
                    Some(builds) => write!(f, "{builds} builds left")?,
                    None => f.write_str("builds not known before the master counts them")?,
                }
                write!(f, ", {commands_left} commands")
            }
        }
    }
}
