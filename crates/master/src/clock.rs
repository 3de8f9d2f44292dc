//! The one place that reads the clocks.
//!
//! Wall time comes from the C library, so that a test can give one daemon another time.

use std::time::SystemTime;

use engine::Now;
use rustix::time::{ClockId, clock_gettime};

/// Returns the current moment on both clocks.
pub fn now() -> Now {
    Now { wall_us: wall_us(), boot_us: boot_us() }
}

/// Returns wall time, in µs since 1970.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn wall_us() -> i64 {
    let micros = |time: std::time::Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(earlier) => -micros(earlier.duration()),
    }
}

fn boot_us() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}
