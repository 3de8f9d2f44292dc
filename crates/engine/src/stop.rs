//! Ends a request on somebody's wish, in whatever state it is.

use attempt::StopOrder;
use attempt::master::Input;

use crate::close::Verdict;
use crate::decision::{Answer, Stopped};
use crate::engine::Engine;
use crate::event::{StopScope, Ticket};
use crate::id::{BuildId, RequestId};
use crate::result::{BuildResult, exit_code};
use crate::row::RequestState;
use crate::time::Now;

impl Engine {
    pub(crate) fn stop_wanted(
        &mut self,
        now: Now,
        ticket: Ticket,
        request: RequestId,
        reason: String,
        order: StopOrder,
        scope: StopScope,
    ) {
        let stopped = if scope == StopScope::Queue && self.is_running(request) {
            Stopped::Spared
        } else {
            self.stop_request(now, request, reason, order)
        };
        self.answer(ticket, Answer::Stopped(stopped));
    }

    fn is_running(&self, id: RequestId) -> bool {
        let request = self.durable.request(id);
        request.is_some_and(|request| matches!(request.state, RequestState::Running { .. }))
    }

    pub(crate) fn stop_request(
        &mut self,
        now: Now,
        id: RequestId,
        reason: String,
        order: StopOrder,
    ) -> Stopped {
        let state = self.durable.request(id).map(|request| request.state.clone());
        match state {
            None | Some(RequestState::Done { .. }) => Stopped::Done,
            Some(RequestState::Waiting | RequestState::Merged { .. }) => {
                self.succeed(id);
                let (result, exit_code) = (BuildResult::Cancelled, exit_code::CANCELLED);
                self.close(now, id, Verdict { result, reason, exit_code });
                Stopped::Waiting
            }
            Some(RequestState::Running { build }) => {
                self.stop_build(now, build, reason, order);
                self.stopped(build)
            }
        }
    }

    fn stopped(&self, id: BuildId) -> Stopped {
        let Some(build) = self.durable.build(id) else { return Stopped::Running };
        match self.volatile.absence(&build.worker) {
            Some(since) => Stopped::Away { worker: build.worker.clone(), since },
            None => Stopped::Running,
        }
    }

    fn stop_build(&mut self, now: Now, id: BuildId, reason: String, order: StopOrder) {
        let Some(build) = self.durable.edit_build(id) else { return };
        build.stop_reason.get_or_insert(reason);
        let running = self
            .durable
            .commands()
            .find(|command| command.build == id && command.half.outcome().is_none())
            .map(|command| command.id());
        match running {
            Some(command) => self.drive(now, command, Input::Stop(order)),
            // Between two steps, while its worker is away: what would follow is skipped.
            None => self.advance(now, id),
        }
    }
}
