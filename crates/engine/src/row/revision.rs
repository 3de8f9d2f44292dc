//! Accepted configurations, every file as it was. What they say is in the settings.

use serde::{Deserialize, Serialize};

/// One file of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionFile {
    /// As it was named, exact bytes.
    #[serde(with = "serde_bytes")]
    pub path: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub text: Vec<u8>,
}

/// An accepted configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    pub n: i64,
    /// Of paths and texts.
    pub sha256: [u8; 32],
    pub files: Vec<RevisionFile>,
    /// µs since 1970.
    pub loaded_us: i64,
}
