//! Tasks that belong to somebody: each is named, is told when to end, and is waited for.

use std::future::Future;

use tokio::sync::oneshot;
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

/// A task ended by a panic, which is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the task panicked, which is a bug of this program (its message is above); commands go on, \
     and starting the worker again takes them over"
)]
pub(crate) struct Panicked;

/// Runs blocking work on a thread of its own. A panic in it continues here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match threads::blocking(work).await {
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
