//! How many logs are sealed at once: few, for each takes memory and a core, and small ones not
//! behind large ones.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Up to this a log is small, in bytes of records: it is sealed in a few milliseconds.
const SMALL_BYTES: u64 = 1024 * 1024;
const AT_ONCE: usize = 2;

/// The places for those who seal.
#[derive(Debug)]
pub(super) struct Lanes {
    small: Semaphore,
    large: Semaphore,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { small: Semaphore::new(AT_ONCE), large: Semaphore::new(AT_ONCE) }
    }
}

impl Lanes {
    /// Waits for a place for a log of this length.
    pub(super) async fn enter(&self, log_bytes: u64) -> Option<SemaphorePermit<'_>> {
        let lane = if log_bytes <= SMALL_BYTES { &self.small } else { &self.large };
        // Nobody closes them.
        lane.acquire().await.ok()
    }
}
