//! Tasks that belong to somebody: each is named, is told when to end, and is waited for.

use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// The tasks of the daemon. Clones speak of the same tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    running: TaskTracker,
    end: CancellationToken,
}

impl Tasks {
    /// Returns the token that is cancelled when everything has to end.
    pub(crate) fn end(&self) -> &CancellationToken {
        &self.end
    }

    /// Keeps one thread for blocking work from now on. A runtime that has none, and cannot make
    /// one, panics where it is asked for it.
    pub(crate) fn keep_a_thread(&self) {
        let end = self.end.clone();
        drop(on_a_thread(|| ()));
        self.spawn("thread", async move {
            let mut beat = tokio::time::interval(BEAT);
            // Both branches are cancel-safe.
            while tokio::select! { _ = beat.tick() => true, () = end.cancelled() => false } {
                drop(on_a_thread(|| ()));
            }
        });
    }

    /// Starts a task. It has to watch `end` and return soon after.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = task.instrument(tracing::debug_span!("task", name));
        #[expect(clippy::disallowed_methods, reason = "every other place spawns through here")]
        drop(tokio::spawn(self.running.track_future(task)));
    }

    /// Starts a task whose end somebody waits for. What it returns does not come where it
    /// panicked.
    pub(crate) fn spawn_watched(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = Result<(), Panicked>> + Unpin {
        let (tell, ended) = oneshot::channel();
        self.spawn(name, async move {
            task.await;
            // Whoever waited may have gone first.
            tell.send(()).ok();
        });
        Box::pin(async { ended.await.map_err(|_dropped| Panicked) })
    }

    /// Tells all tasks to end and waits until the last has.
    pub(crate) async fn finish(&self) {
        self.end.cancel();
        self.running.close();
        self.running.wait().await;
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
pub(crate) fn probe_threads() -> std::io::Result<()> {
    let thread = std::thread::Builder::new().spawn(|| ())?;
    // It did nothing that could have gone wrong.
    thread.join().map_err(|_panic| std::io::Error::other("a thread panicked"))
}

/// A task ended by a panic, which is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the task panicked, which is a bug of this program (its message is above); commands go on, \
     and starting the worker again takes them over"
)]
pub(crate) struct Panicked;

/// Blocking work that takes longer may wait for a thread that could not be made.
const NUDGE: Duration = Duration::from_secs(1);
/// The runtime lets go of a thread that had nothing to do for ten seconds. Threads are asked in turn,
/// so of two one is let go.
const BEAT: Duration = Duration::from_secs(7);

/// Runs blocking work on a thread of its own. A panic in it continues here.
///
/// Where the system makes no more threads, the work waits for the one that `keep_a_thread` keeps, or
/// for the next that can be made: one is asked for now and then.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let mut job = on_a_thread(work);
    let done = loop {
        match tokio::time::timeout(NUDGE, &mut job).await {
            Ok(done) => break done,
            Err(_late) => drop(on_a_thread(|| ())),
        }
    };
    match done {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking work is cancelled only by the end of the runtime, and this future with it.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_a_watched_task_is_noticed() {
        let tasks = Tasks::default();
        assert_eq!(tasks.spawn_watched("well", async {}).await, Ok(()));
        let panics = tasks.spawn_watched("unwell", async { panic!("on purpose") });
        assert_eq!(panics.await, Err(Panicked));
    }
}
