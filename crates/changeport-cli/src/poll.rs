//! Waits for any of several sources, or for a moment.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

/// Waits until a source is ready or the moment has come. An interrupted wait is as good as one
/// whose moment came: callers look at the time and at their sources anyway.
///
/// # Errors
/// When the system cannot wait, which a wrong source would cause.
pub(crate) fn wait_until(sources: &mut [PollFd<'_>], moment: Instant) -> io::Result<()> {
    let left = moment.saturating_duration_since(Instant::now());
    // Rounded up, or the last fraction of a millisecond would be spent spinning.
    let left = left + Duration::from_micros(500);
    let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
    match poll(sources, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
