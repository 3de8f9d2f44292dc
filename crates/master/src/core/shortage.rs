//! The disk of the database is full: what is refused and what waits until it is tried again.

use tokio::sync::oneshot;
use tokio::time::Instant;

use engine::Answer;

use super::handle::{Input, Question};
use super::ledger::Pauses;
use super::run::not_stored;

/// Events that may wait for space; then the queue has to.
const MOST_HELD: usize = 4_096;

/// A time without space.
#[derive(Debug)]
pub(super) struct Shortage {
    why: String,
    until: Instant,
    pauses: Pauses,
    /// What nobody waits for, in its order.
    held: Vec<Input>,
}

impl Shortage {
    pub(super) fn new(why: String) -> Self {
        let mut pauses = Pauses::default();
        let until = Instant::now() + pauses.next();
        Self { why, until, pauses, held: Vec::new() }
    }

    /// Still no space.
    pub(super) fn goes_on(&mut self, why: String) {
        self.why = why;
        self.until = Instant::now() + self.pauses.next();
    }

    /// Returns until when the database is to be left alone, if it is.
    pub(super) fn pause(&self) -> Option<Instant> {
        Some(self.until).filter(|until| Instant::now() < *until)
    }

    pub(super) fn has_room(&self) -> bool {
        self.held.len() < MOST_HELD
    }

    /// Refuses new work, keeps everything else, and returns the questions.
    pub(super) fn shed(&mut self, batch: &mut Vec<Input>) -> Vec<Question> {
        let mut questions = Vec::new();
        for input in batch.drain(..) {
            match input {
                Input::Question(question) => questions.push(question),
                Input::Asked(_, reply) => refuse(reply, &self.why),
                Input::Event(_) | Input::Attached(..) => self.held.push(input),
            }
        }
        questions
    }

    /// Puts what was kept before a batch.
    pub(super) fn release(&mut self, batch: &mut Vec<Input>) {
        let later = std::mem::replace(batch, std::mem::take(&mut self.held));
        batch.extend(later);
    }
}

fn refuse(reply: oneshot::Sender<Answer>, why: &str) {
    if reply.send(not_stored(why)).is_err() {
        tracing::debug!("nobody waits for the answer any more");
    }
}
