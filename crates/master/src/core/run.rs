//! The loop itself.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use engine::settings::Settings;
use engine::{Action, Answer, Engine, Event, Identity, Now, Refusal, Ticket, Write};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::act::Actors;
use super::followers::Followers;
use super::handle::{Core, FnOnceTicket, Input, Question};
use super::ledger::{Fate, Ledger};
use super::news::News;
use super::shortage::Shortage;
use super::{answer, lock, trail};
use crate::clock;
use crate::store::{CommitError, Store, StoreError};

/// Events that wait for the loop; a full queue stops reading the sockets they come from.
const QUEUE: usize = 4_096;
/// A commit that takes so long holds everybody up.
const STALL_US: i64 = 1_000_000;
/// Events decided before one commit.
const BATCH: usize = 256;

/// What the loop is made of.
#[derive(Debug)]
pub struct Parts {
    pub store: Arc<Store>,
    pub settings: Arc<Settings>,
    pub identity: Identity,
    /// Commands whose logs are to be completed, with their length.
    pub seals: mpsc::Sender<(attempt::CommandId, u64)>,
}

/// Why the loop cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    #[error("load the state")]
    Load(#[source] StoreError),
    #[error(transparent)]
    Commit(CommitError),
    #[error("find out whether the last batch was committed")]
    Doubt(#[source] StoreError),
    #[error("told to stop while the database did not answer")]
    Stopped,
}

/// Makes the handle and the loop. The future ends when the token is cancelled or the database
/// is lost for good; the error says why.
pub fn run(
    parts: Parts,
    cancel: CancellationToken,
) -> (Core, impl Future<Output = Result<(), CoreError>>) {
    let (inputs, queue) = mpsc::channel(QUEUE);
    (Core { inputs }, body(parts, queue, cancel))
}

async fn body(
    parts: Parts,
    mut queue: mpsc::Receiver<Input>,
    cancel: CancellationToken,
) -> Result<(), CoreError> {
    let mut yard = Yard::restore(parts, cancel.clone()).await?;
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let pause = yard.shortage.as_ref().and_then(Shortage::pause);
        let has_room = yard.shortage.as_ref().is_none_or(Shortage::has_room);
        // All branches are cancel-safe: recv_many takes nothing unless it completes.
        tokio::select! {
            count = queue.recv_many(&mut batch, BATCH), if pause.is_none() || has_room => {
                if count == 0 {
                    return Ok(());
                }
            }
            () = due(yard.deadline()), if pause.is_none() => {
                batch.push(Input::Event(Event::Due));
            }
            () = pause_until(pause) => {}
            () = cancel.cancelled() => return Ok(()),
        }
        yard.take(&mut batch).await?;
    }
}

async fn pause_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits until a moment on boot time.
async fn due(deadline: Option<i64>) {
    let Some(deadline) = deadline else { return std::future::pending().await };
    loop {
        let left_us = deadline - clock::now().boot_us;
        let Ok(left_us) = u64::try_from(left_us) else { return };
        if left_us == 0 {
            return;
        }
        // The runtime's clock stops in suspend, boot time does not: look again now and then.
        tokio::time::sleep(Duration::from_micros(left_us.min(1_000_000))).await;
    }
}

/// The engine with its store and its arms.
struct Yard {
    ledger: Ledger,
    /// As they were committed last.
    settings: Arc<Settings>,
    identity: Identity,
    engine: Engine,
    actors: Actors,
    next_ticket: u64,
    followers: Followers,
    news: News,
    /// Present while the last batch found no space.
    shortage: Option<Shortage>,
    /// How long commits have held the loop up so far. The engine's time stands still meanwhile:
    /// a caller who could not be answered, nor heard, has not gone away.
    stalled_us: i64,
}

impl Yard {
    async fn restore(parts: Parts, cancel: CancellationToken) -> Result<Self, CoreError> {
        let Parts { store, settings, identity, seals } = parts;
        let ledger = Ledger { store, cancel };
        let rows = ledger.load().await?;
        let now = clock::now();
        let (engine, actions) = Engine::restore(settings.clone(), identity, rows, now);
        let mut actors = Actors::new(seals);
        actors.perform(actions);
        let followers = Followers::default();
        let news = News::of(engine.durable().builds());
        Ok(Self {
            ledger,
            settings,
            identity,
            engine,
            actors,
            next_ticket: 1,
            followers,
            news,
            shortage: None,
            stalled_us: 0,
        })
    }

    /// Returns the engine's time.
    fn now(&self) -> Now {
        let now = clock::now();
        Now { boot_us: now.boot_us - self.stalled_us, ..now }
    }

    /// Returns when the engine is due, on boot time.
    fn deadline(&self) -> Option<i64> {
        self.engine.deadline().map(|deadline| deadline.saturating_add(self.stalled_us))
    }

    async fn commit(&mut self, writes: &[Write]) -> Result<Fate, CoreError> {
        let begun_us = clock::now().boot_us;
        let fate = self.ledger.commit(writes).await;
        let took_us = clock::now().boot_us - begun_us;
        if took_us >= STALL_US {
            self.stalled_us += took_us;
        }
        fate
    }

    /// Decides about a batch, commits, acts, and answers the questions that came with it.
    async fn take(&mut self, batch: &mut Vec<Input>) -> Result<(), CoreError> {
        if let Some(shortage) = &mut self.shortage {
            if shortage.pause().is_some() {
                let questions = shortage.shed(batch);
                questions.into_iter().for_each(|question| self.answer(question));
                return Ok(());
            }
            shortage.release(batch);
        }
        let mut questions = Vec::new();
        let mut events = Vec::new();
        for input in batch.drain(..) {
            match input {
                Input::Question(question) => questions.push(question),
                Input::Event(event) => events.push(event),
                Input::Asked(make, reply) => events.push(self.ticketed(make, reply)),
                Input::Attached(event, session) => {
                    if self.actors.attach(session) {
                        events.push(event);
                    }
                }
            }
        }
        let (writes, actions) = self.decide(&events);
        match self.commit(&writes).await? {
            Fate::Committed => {
                self.settings = self.engine.settings().clone();
                self.news.tell(&writes);
                events.iter().for_each(|event| self.followers.settled(event));
                self.actors.perform(actions);
                if !writes.is_empty() && self.shortage.take().is_some() {
                    info!("the disk of the database has space again");
                }
            }
            Fate::Refused { why } => self.recover(events, &why).await?,
            Fate::DiskFull { why } => self.give_back(&events, why).await?,
        }
        for question in questions {
            self.answer(question);
        }
        Ok(())
    }

    fn ticketed(&mut self, make: Box<dyn FnOnceTicket>, reply: oneshot::Sender<Answer>) -> Event {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.actors.waiting.insert(ticket, reply);
        make.event(ticket)
    }

    fn decide(&mut self, events: &[Event]) -> (Vec<Write>, Vec<Action>) {
        let now = self.now();
        let mut writes = Vec::new();
        let mut actions = Vec::new();
        for event in events {
            let decision = self.engine.handle(now, event.clone());
            writes.extend(decision.writes);
            actions.extend(decision.actions);
        }
        (writes, actions)
    }

    /// A batch was rolled back: start again from what is on disk, then take its events one by
    /// one, so that a bad one fails alone. Workers are cut off and come back with their state.
    async fn recover(&mut self, events: Vec<Event>, why: &str) -> Result<(), CoreError> {
        warn!("a batch of {} events was rolled back: {why}", events.len());
        self.reload().await?;
        for event in events {
            let ticket = ticket_of(&event);
            let (writes, actions) = self.decide(std::slice::from_ref(&event));
            let fate = self.commit(&writes).await?;
            self.followers.settled(&event);
            match fate {
                Fate::Committed => {
                    self.settings = self.engine.settings().clone();
                    self.news.tell(&writes);
                    self.actors.perform(actions);
                }
                Fate::Refused { why } | Fate::DiskFull { why } => {
                    error!("an event could not be committed: {why}");
                    if let Some(ticket) = ticket {
                        self.actors.answer(ticket, not_stored(&why));
                    }
                    self.reload().await?;
                }
            }
        }
        Ok(())
    }

    /// There is no space for a batch: nothing of it was taken. Whoever waits is told; workers
    /// come back with their state, logs are found by their rows, and timers are still due.
    async fn give_back(&mut self, events: &[Event], why: String) -> Result<(), CoreError> {
        error!("{why}: free space there; new work is refused until then");
        for event in events {
            self.followers.settled(event);
            if let Some(ticket) = ticket_of(event) {
                self.actors.answer(ticket, not_stored(&why));
            }
        }
        self.reload().await?;
        match &mut self.shortage {
            Some(shortage) => shortage.goes_on(why),
            None => self.shortage = Some(Shortage::new(why)),
        }
        Ok(())
    }

    async fn reload(&mut self) -> Result<(), CoreError> {
        for session in std::mem::take(&mut self.actors.sessions).into_values() {
            session.close.cancel();
        }
        let rows = self.ledger.load().await?;
        let now = self.now();
        let (engine, actions) = Engine::restore(self.settings.clone(), self.identity, rows, now);
        self.engine = engine;
        self.actors.perform(actions);
        for event in self.followers.events() {
            self.engine.handle(now, event);
        }
        Ok(())
    }

    fn answer(&mut self, question: Question) {
        let engine = &self.engine;
        let was_heard = match question {
            Question::Trail { request, reply } => reply.send(trail::of(engine, &request)).is_ok(),
            Question::Queue { owner, reply } => {
                reply.send(answer::queue(engine, owner.as_deref())).is_ok()
            }
            Question::RequestsOf { owner, reply } => {
                reply.send(answer::requests_of(engine, &owner)).is_ok()
            }
            Question::Why { request, reply } => reply.send(answer::why(engine, &request)).is_ok(),
            Question::Locks { reply } => reply.send(lock::lines(engine)).is_ok(),
            Question::Status { reply } => {
                reply.send(answer::overview(engine, self.actors.disowned.len())).is_ok()
            }
            Question::IsAwaited { worker, reply } => reply.send(engine.expects(&worker)).is_ok(),
            Question::Foresee { settings, reply } => {
                reply.send(engine.foresee(self.now(), settings)).is_ok()
            }
            Question::CommandsOf { worker, reply } => {
                let commands = engine.durable().commands();
                let ids = commands.filter(|c| c.worker == worker).map(|c| c.id()).collect();
                reply.send(ids).is_ok()
            }
            Question::Watch { request, reply } => reply.send(self.actors.watch(request)).is_ok(),
            Question::Heads { source, reply } => {
                reply.send(engine.durable().heads_of(&source)).is_ok()
            }
        };
        if !was_heard {
            tracing::debug!("nobody waits for the answer any more");
        }
    }
}

fn ticket_of(event: &Event) -> Option<Ticket> {
    match event {
        Event::Submitted { ticket, .. }
        | Event::Polled { ticket, .. }
        | Event::StopWanted { ticket, .. }
        | Event::PriorityWanted { ticket, .. }
        | Event::Reconfigured { ticket, .. }
        | Event::GiveUpWanted { ticket, .. } => Some(*ticket),
        Event::Due
        | Event::WorkerAttached { .. }
        | Event::WorkerReadiness { .. }
        | Event::WorkerProbed { .. }
        | Event::WorkerLost { .. }
        | Event::Reported { .. }
        | Event::Unsent { .. }
        | Event::LogSealed { .. }
        | Event::FollowerCame { .. }
        | Event::FollowerLeft { .. } => None,
    }
}

pub(super) fn not_stored(why: &str) -> Answer {
    Answer::Refused(Refusal {
        code: "not_stored",
        message: format!("the master could not store it: {why}"),
        hint: "nothing was accepted; try again later".to_owned(),
    })
}
