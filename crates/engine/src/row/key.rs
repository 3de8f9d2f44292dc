//! Idempotency keys: a submission that comes twice is accepted once.

use crate::id::{ChangeId, RequestName};

/// What was answered to a key. Unique per principal, and never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionKey {
    pub principal: String,
    pub key: String,
    /// Fingerprint of the body; another body under the same key is refused.
    pub body: u64,
    pub change: ChangeId,
    pub requests: Vec<RequestName>,
    pub schedulers: Vec<String>,
    pub accepted_us: i64,
}
