//! Launches under way: what has time makes way for them.
//!
//! A launch is a few handings over between processes. Tidying up at that moment takes the
//! processor from whoever is next in the line, and every command behind it waits longer.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// Where launches never pause, tidying up goes on beside them.
const PATIENCE: Duration = Duration::from_millis(20);

/// How many commands are on their way to their start. Clones speak of the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Launches(watch::Sender<usize>);

/// One launch; over when it is dropped.
#[derive(Debug)]
pub(super) struct Launch(watch::Sender<usize>);

impl Launches {
    pub(super) fn begin(&self) -> Launch {
        self.0.send_modify(|count| *count += 1);
        Launch(self.0.clone())
    }

    /// Waits until no command is on its way, for a short time at most.
    pub(super) async fn pause(&self) {
        let mut count = self.0.subscribe();
        // Late or calm, it may go on.
        drop(timeout(PATIENCE, count.wait_for(|count| *count == 0)).await);
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_when_the_last_launch_is_over_and_never_far() {
        let launches = Launches::default();
        launches.pause().await;
        let (first, second) = (launches.begin(), launches.begin());
        let began = tokio::time::Instant::now();
        let pause = launches.pause();
        drop(first);
        launches.pause().await;
        assert_eq!(began.elapsed().as_millis(), 20, "one is still on its way");
        drop(second);
        pause.await;
        assert_eq!(began.elapsed().as_millis(), 20);
    }
}
