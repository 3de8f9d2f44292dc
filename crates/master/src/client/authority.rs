//! What a connection may do.

use engine::RequestName;
use proto::message::hello::Refusal;

use super::session::refusal;

/// Whose requests a client may see and stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Authority {
    /// Everybody's: the control socket.
    All,
    /// Its own.
    Own { principal: String },
}

impl Authority {
    /// Says whether a request of this owner is within reach.
    pub(super) fn covers(&self, owner: &str) -> bool {
        match self {
            Self::All => true,
            Self::Own { principal } => principal == owner,
        }
    }

    /// Refuses what is about everybody's requests to whoever may only see their own.
    pub(super) fn over_all(&self, hint: &str) -> Result<(), Refusal> {
        match self {
            Self::All => Ok(()),
            Self::Own { .. } => {
                Err(refusal("not_allowed", "this is for the control socket alone", hint))
            }
        }
    }

    /// Refuses a request that is out of reach, in the same words as one that does not exist.
    pub(super) fn unknown(&self, name: &RequestName) -> Refusal {
        let hint = match self {
            Self::All => "see: master queue, master builds",
            Self::Own { .. } => "see: changeport status",
        };
        refusal("unknown_request", &format!("there is no request {name}"), hint)
    }
}
