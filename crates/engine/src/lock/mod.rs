//! Locks: what builds and steps hold so that others wait.
//!
//! A build takes the locks of its builder together with its place, all or nothing, and keeps them
//! to its end; a step takes its own before its command, in the order in which the steps came. Who
//! holds what follows from the rows (`holdings`), so a restart changes nothing.
//!
//! **Invariants**
//! - A lock is held as long as a command that took it may run.
//! - Nobody is given a lock beyond its maximum; a maximum that was lowered takes nothing away.
//! - Whoever waits is not overtaken for ever: what a step or a request waits for is kept for it
//!   (`kept`), steps before requests, as they have their place already.

mod check;
mod decode;
mod holdings;
mod kept;
mod turn;
mod view;

use std::collections::BTreeMap;
use std::fmt;

use config::Name;
use serde::{Deserialize, Serialize};

pub use check::check;
pub(crate) use decode::claims;
pub use holdings::Holding;
pub(crate) use holdings::Holdings;
pub(crate) use kept::Kept;
pub use view::{Holder, LockView, LockWaiter};

/// `[lock.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    pub scope: Scope,
    /// Units that may be held at once; of each worker, where that is the scope.
    pub max: u32,
    /// Instead of `max`, on these workers.
    pub max_for_worker: BTreeMap<Name, u32>,
}

/// What there is one of each lock for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Master,
    Worker,
}

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// By nobody else.
    Exclusive,
    /// So many units of it, beside others that count.
    Counting(u32),
}

/// A lock that a builder or a step needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub lock: Name,
    pub access: Access,
}

impl Access {
    /// Says whether it takes anything: nobody waits for no units, and nobody for them.
    pub(crate) fn is_something(self) -> bool {
        self != Self::Counting(0)
    }
}

impl Lock {
    /// Returns how many units there are on a worker.
    pub fn max_on(&self, worker: &Name) -> u32 {
        match self.scope {
            Scope::Master => self.max,
            Scope::Worker => self.max_for_worker.get(worker).copied().unwrap_or(self.max),
        }
    }

    /// Returns the fewest units there are anywhere.
    pub(crate) fn least(&self) -> u32 {
        self.max_for_worker.values().copied().fold(self.max, u32::min)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exclusive => f.write_str("exclusive"),
            Self::Counting(1) => f.write_str("1 unit"),
            Self::Counting(count) => write!(f, "{count} units"),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Worker => "worker",
        })
    }
}
