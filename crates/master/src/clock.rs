//! The one place that reads the clocks.

use engine::Now;
use rustix::time::{ClockId, clock_gettime};

/// Returns the current moment on both clocks.
pub fn now() -> Now {
    Now { wall_us: wall_us(), boot_us: micros(ClockId::Boottime) }
}

/// Returns wall time, in µs since 1970.
pub fn wall_us() -> i64 {
    micros(ClockId::Realtime)
}

fn micros(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}
