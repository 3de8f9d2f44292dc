//! What a connection may do.

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
}
