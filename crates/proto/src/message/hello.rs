//! The opening of every connection, refusals, and signs of life.

use serde::{Deserialize, Serialize};

use super::messages;
use crate::word::wire_words;
use crate::{Bytes, feature, limits};

messages! {
    Hello = HELLO;
    Welcome = WELCOME;
    Refusal = REFUSAL;
    Ping = PING;
    Pong = PONG;
}

wire_words! {
    /// What the connecting side wants to be.
    pub enum Role {
        Worker = "worker",
        Client = "client",
        Control = "control",
    }
}

/// The first frame, from the side that connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub role: Role,
    pub min_version: u16,
    pub max_version: u16,
    /// What the sender understands beyond the version, of `feature`.
    #[serde(default)]
    pub features: u64,
    /// The secret that names the sender; absent where the kernel says who it is.
    #[serde(default)]
    pub token: Option<Bytes>,
    /// Program and version, for logs.
    pub agent: String,
}

impl Hello {
    /// Makes the hello of this build.
    pub fn new(role: Role, token: Option<Bytes>) -> Self {
        let (min_version, max_version) = limits::VERSIONS;
        let agent = format!("yardmaster/{}", crate::VERSION);
        let features = match role {
            Role::Client => feature::ENV_WANTED,
            Role::Worker => feature::SECRETS,
            Role::Control | Role::Unknown => 0,
        };
        Self { role, min_version, max_version, features, token, agent }
    }

    /// Picks the highest version both sides speak.
    pub fn common_version(&self) -> Option<u16> {
        let (lowest, highest) = limits::VERSIONS;
        let version = self.max_version.min(highest);
        (version >= lowest && version >= self.min_version).then_some(version)
    }
}

/// The master's answer to a hello it accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    pub version: u16,
    #[serde(default)]
    pub features: u64,
    /// The master's name from its configuration.
    pub master: String,
    /// Rises with every start of the master; a worker refuses a lower one than it saw.
    pub epoch: i64,
    /// Rises with every connection within an epoch; stamps this connection's commands.
    pub session: i64,
    /// Who the master takes the sender for, such as `unix:host:1000` or `worker:build01`.
    pub principal: String,
}

/// A refusal, in answer to anything; the connection ends after a refused hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}{}{hint}", if hint.is_empty() { "" } else { "; " })]
pub struct Refusal {
    /// Stable and machine-readable, such as `unknown_app`.
    pub code: String,
    /// One sentence: what was refused and why.
    pub message: String,
    /// One sentence: what to do next; may be empty.
    #[serde(default)]
    pub hint: String,
}

/// Asks for a sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    pub nonce: u64,
}

/// The sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    pub nonce: u64,
}
