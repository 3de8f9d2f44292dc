//! Priorities: what is served first.

use config::{Code, Context, Diagnostic, Fields, Spanned};

use crate::decision::{Action, Answer, Prioritized};
use crate::engine::Engine;
use crate::event::Ticket;
use crate::id::RequestId;
use crate::row::RequestState;

/// Enough to sort by, and numbers that people remember.
pub const MOST: i32 = 1_000;

/// Reads the key `priority`.
pub(crate) fn decode(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<i32> {
    let given: Option<Spanned<i64>> = fields.optional("priority", cx)?;
    let Some(given) = given else { return Some(0) };
    let priority = i32::try_from(given.value).ok().filter(|priority| is_valid(*priority));
    if priority.is_none() {
        let message = format!("a priority is a number from -{MOST} to {MOST}");
        let problem = Diagnostic::new(Code::OutOfRange, given.span, message);
        cx.report(problem.help("higher is served first; 0 is the usual"));
    }
    priority
}

/// Says whether a priority is within bounds.
pub fn is_valid(priority: i32) -> bool {
    (-MOST..=MOST).contains(&priority)
}

impl Engine {
    pub(crate) fn priority_wanted(&mut self, ticket: Ticket, id: RequestId, priority: i32) {
        let prioritized = self.prioritize(id, priority);
        self.answer(ticket, Answer::Prioritized(prioritized));
    }

    fn prioritize(&mut self, id: RequestId, priority: i32) -> Prioritized {
        let Some(request) = self.durable.request(id) else { return Prioritized::Done };
        match request.state {
            RequestState::Done { .. } => Prioritized::Done,
            RequestState::Running { .. } => Prioritized::Running,
            RequestState::Merged { into } => match self.durable.request(into) {
                Some(other) => Prioritized::Merged { into: other.name.clone() },
                None => Prioritized::Done,
            },
            RequestState::Waiting => {
                self.durable.set_request_priority(id, priority);
                self.move_seat(id);
                self.actions.push(Action::RequestChanged { request: id });
                Prioritized::Waiting
            }
        }
    }
}
