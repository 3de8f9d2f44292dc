//! What the task that reloads is asked to do, and the handle by which others ask.

use config::SourceFile;
use proto::message::configuration::Plan;
use tokio::sync::{mpsc, oneshot};

/// Orders that may wait; more are refused.
const MOST_ORDERS: usize = 16;

/// What becomes of requests that wait for a builder that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// They are served as it was, where the rest of the configuration still allows it.
    Drain,
    Cancel,
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReloaded {
    /// The configuration cannot be used; the text says all that is wrong.
    #[error("{text}")]
    Invalid { text: String },
    #[error("{message}; {hint}")]
    Refused { code: &'static str, message: String, hint: String },
}

impl NotReloaded {
    pub(super) fn stopping() -> Self {
        Self::Refused {
            code: "stopping",
            message: "the master is stopping".to_owned(),
            hint: "the next start reads the configuration".to_owned(),
        }
    }
}

pub(super) type Reply = oneshot::Sender<Result<Plan, NotReloaded>>;

#[derive(Debug)]
pub(super) enum Order {
    Plan { files: Vec<SourceFile>, queued: Queued, reply: Reply },
    Reload { planned: Option<i64>, queued: Queued, reply: Reply },
}

/// The handle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reloads {
    orders: mpsc::Sender<Order>,
}

impl Reloads {
    /// Makes the handle and what the task listens to.
    pub(super) fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, queue) = mpsc::channel(MOST_ORDERS);
        (Self { orders }, queue)
    }

    /// Makes a handle to which nobody listens.
    #[cfg(test)]
    pub(crate) fn to_nobody() -> Self {
        Self::new().0
    }

    /// Says what a configuration would change.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn plan(&self, files: Vec<SourceFile>, queued: Queued) -> Result<Plan, NotReloaded> {
        self.ask(|reply| Order::Plan { files, queued, reply }).await
    }

    /// Reads the master's own files and takes what they say; with a number only what was planned
    /// under it.
    ///
    /// # Errors
    /// When nothing was changed.
    pub async fn reload(&self, planned: Option<i64>, queued: Queued) -> Result<Plan, NotReloaded> {
        self.ask(|reply| Order::Reload { planned, queued, reply }).await
    }

    async fn ask(&self, order: impl FnOnce(Reply) -> Order) -> Result<Plan, NotReloaded> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.map_err(|_gone| NotReloaded::stopping())?;
        answer.await.unwrap_or_else(|_gone| Err(NotReloaded::stopping()))
    }
}
