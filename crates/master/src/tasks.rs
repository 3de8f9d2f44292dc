//! Owned tasks: every spawn has a name, a span, a cancel token, and is joined at shutdown.

use std::future::Future;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

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
