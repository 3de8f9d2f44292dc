//! Tasks that belong to somebody: each is named, is told when to end, and is waited for.

use std::future::Future;

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

    /// Tells all tasks to end and waits until the last has.
    pub(crate) async fn finish(&self) {
        self.end.cancel();
        self.running.close();
        self.running.wait().await;
    }
}

/// Runs blocking work on a thread of its own. A panic in it continues here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking work is cancelled only by the end of the runtime, and this future with it.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}
