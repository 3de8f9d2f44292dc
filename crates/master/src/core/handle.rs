//! The handle to the engine's loop.

use std::sync::Arc;

use engine::settings::Settings;
use engine::{Answer, Event, RequestId, RequestName, Ticket};
use proto::message::question;
use tokio::sync::{mpsc, oneshot, watch};

use super::act::WorkerSession;
use super::trail::Trail;

/// The engine's loop has ended: the master is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the master is stopping")]
pub struct CoreGone;

/// What goes to the loop.
#[derive(Debug)]
pub(super) enum Input {
    Event(Event),
    /// An event whose answer somebody waits for.
    Asked(Box<dyn FnOnceTicket>, oneshot::Sender<Answer>),
    /// An event of a worker's connection, with the connection to speak to it.
    Attached(Event, WorkerSession),
    Question(Question),
}

/// A question to the committed state.
#[derive(Debug)]
pub enum Question {
    /// Where a living request is, with what its followers need; `None` once it has ended.
    Trail { request: RequestName, reply: oneshot::Sender<Option<Trail>> },
    /// What waits: everybody's, or of one owner.
    Queue { owner: Option<String>, reply: oneshot::Sender<Vec<question::QueueLine>> },
    /// What lives of an owner's requests.
    RequestsOf { owner: String, reply: oneshot::Sender<question::Requests> },
    /// Conditions of a living request.
    Why { request: RequestName, reply: oneshot::Sender<Option<question::Why>> },
    /// Who holds which locks, and who waits for them.
    Locks { reply: oneshot::Sender<Vec<question::LockLine>> },
    /// Counts and workers.
    Status { reply: oneshot::Sender<Overview> },
    /// The commands that were given to a worker and are not sealed.
    CommandsOf { worker: config::Name, reply: oneshot::Sender<Vec<attempt::CommandId>> },
    /// Whether a worker may come although the configuration does not have it.
    IsAwaited { worker: config::Name, reply: oneshot::Sender<bool> },
    /// What another configuration would do.
    Foresee { settings: Arc<Settings>, reply: oneshot::Sender<engine::Foresight> },
    /// Wakes whenever something about a request changes.
    Watch { request: RequestId, reply: oneshot::Sender<watch::Receiver<u64>> },
    /// How far a source has read, if it ever did.
    Heads {
        source: config::Name,
        reply: oneshot::Sender<Option<std::collections::BTreeMap<String, String>>>,
    },
}

/// The master in numbers.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// The number of the configuration in force.
    pub revision: i64,
    pub waiting: u64,
    pub running: u64,
    /// Commands of workers that the database did not know, since the start.
    pub disowned: u64,
    pub workers: Vec<question::WorkerLine>,
}

/// A closure from ticket to event, boxed.
pub(super) trait FnOnceTicket: Send {
    fn event(self: Box<Self>, ticket: Ticket) -> Event;
}

impl<F: FnOnce(Ticket) -> Event + Send> FnOnceTicket for F {
    fn event(self: Box<Self>, ticket: Ticket) -> Event {
        self(ticket)
    }
}

impl std::fmt::Debug for dyn FnOnceTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("event for a ticket")
    }
}

/// The handle. Cheap to clone; all calls wait while the queue is full.
#[derive(Debug, Clone)]
pub struct Core {
    pub(super) inputs: mpsc::Sender<Input>,
}

impl Core {
    /// Tells the engine something.
    ///
    /// # Errors
    /// When the master is stopping.
    pub async fn tell(&self, event: Event) -> Result<(), CoreGone> {
        self.send(Input::Event(event)).await
    }

    /// Tells the engine something and waits for the committed answer.
    ///
    /// # Errors
    /// When the master is stopping; the event may or may not have been committed then.
    pub async fn ask(
        &self,
        event: impl FnOnce(Ticket) -> Event + Send + 'static,
    ) -> Result<Answer, CoreGone> {
        self.hand_in(event).await?.await.map_err(|_gone| CoreGone)
    }

    /// Tells the engine something and returns where the committed answer will be. Events are
    /// decided in the order in which they were handed in.
    ///
    /// # Errors
    /// When the master is stopping.
    pub async fn hand_in(
        &self,
        event: impl FnOnce(Ticket) -> Event + Send + 'static,
    ) -> Result<oneshot::Receiver<Answer>, CoreGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Asked(Box::new(event), reply)).await?;
        Ok(answer)
    }

    /// Tells the engine of a worker and hands over its connection.
    ///
    /// # Errors
    /// When the master is stopping.
    pub async fn attach(&self, event: Event, session: WorkerSession) -> Result<(), CoreGone> {
        self.send(Input::Attached(event, session)).await
    }

    /// Asks the committed state.
    ///
    /// # Errors
    /// When the master is stopping.
    pub async fn question<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, CoreGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Question(make(reply))).await?;
        answer.await.map_err(|_gone| CoreGone)
    }

    async fn send(&self, input: Input) -> Result<(), CoreGone> {
        self.inputs.send(input).await.map_err(|_gone| CoreGone)
    }
}
