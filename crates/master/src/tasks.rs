//! Owned tasks: every spawn has a name, a span, a cancel token, and is joined at shutdown.

use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Blocking work that takes longer may wait for a thread that could not be made.
const NUDGE: Duration = Duration::from_secs(1);
/// The runtime lets go of a thread that had nothing to do for ten seconds. Threads are asked in turn,
/// so of two one is let go.
const BEAT: Duration = Duration::from_secs(7);

/// Runs blocking work on a thread of its own; the error is a panic in it.
///
/// Where the system makes no more threads, the work waits for the one that `keep_a_thread` keeps, or
/// for the next that can be made: one is asked for now and then.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let mut job = on_a_thread(work);
    loop {
        match tokio::time::timeout(NUDGE, &mut job).await {
            Ok(done) => return done,
            Err(_late) => drop(on_a_thread(|| ())),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "every other place asks for threads through here")]
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}

/// Makes sure that a thread can be made at all: a runtime without one has nothing to say.
///
/// # Errors
/// What the system says.
pub fn probe_threads() -> std::io::Result<()> {
    let thread = std::thread::Builder::new().spawn(|| ())?;
    // It did nothing that could have gone wrong.
    thread.join().map_err(|_panic| std::io::Error::other("a thread panicked"))
}

/// A family of tasks that end together.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Tasks {
    /// Returns the token that tells every task of the family to end.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Keeps one thread for blocking work from now on. A runtime that has none, and cannot make
    /// one, panics where it is asked for it.
    pub fn keep_a_thread(&self) {
        let end = self.cancel.clone();
        drop(on_a_thread(|| ()));
        self.spawn("thread", async move {
            let mut beat = tokio::time::interval(BEAT);
            // Both branches are cancel-safe.
            while tokio::select! { _ = beat.tick() => true, () = end.cancelled() => false } {
                drop(on_a_thread(|| ()));
            }
        });
    }

    /// Starts a task. It has to end soon after the token is cancelled.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
        let handle = tokio::spawn(
            self.tracker.track_future(task.instrument(tracing::info_span!("task", name))),
        );
        drop(handle);
    }

    /// Starts a task whose outcome somebody waits for; there is none where it panicked.
    pub fn spawn_watched<T: Send + 'static>(
        &self,
        name: &'static str,
        task: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (tell, ended) = oneshot::channel();
        self.spawn(name, async move {
            if tell.send(task.await).is_err() {
                tracing::debug!("nobody waits for the end of the task any more");
            }
        });
        ended
    }

    /// Makes a family within this one: cancelled with it, or alone.
    pub fn child(&self) -> Self {
        Self { tracker: self.tracker.clone(), cancel: self.cancel.child_token() }
    }

    /// Ends all tasks and waits for them.
    pub async fn shutdown(&self) {
        self.cancel.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watched_task_that_panics_has_no_outcome() {
        let tasks = Tasks::default();
        assert_eq!(tasks.spawn_watched("well", async { 7 }).await, Ok(7));
        let panics = tasks.spawn_watched::<()>("unwell", async { panic!("on purpose") });
        assert!(panics.await.is_err());
    }
}
