//! Idempotency keys: a submission that comes twice is accepted once.

use crate::id::{ChangeId, RequestName};
use crate::table::Row;

/// What was answered to a key. Unique per principal.
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
    /// Set after a day: only the database remembers it then.
    pub is_retired: bool,
}

impl Row for SubmissionKey {
    type Key = (String, String);

    fn key(&self) -> (String, String) {
        (self.principal.clone(), self.key.clone())
    }

    fn is_alive(&self) -> bool {
        !self.is_retired
    }
}
