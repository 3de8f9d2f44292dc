//! Ends a request, and what ends with it.

use crate::decision::Action;
use crate::engine::Engine;
use crate::id::{RequestId, RequestName};
use crate::result::BuildResult;
use crate::row::RequestState;
use crate::time::Now;

/// The end of a request.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) result: BuildResult,
    /// One sentence where the result is not the command's own.
    pub(crate) reason: String,
    /// What a launcher exits with.
    pub(crate) exit_code: u8,
}

impl Engine {
    /// Ends a request. Those that were merged into it end as it does.
    pub(crate) fn close(&mut self, now: Now, id: RequestId, verdict: Verdict) {
        let Some(request) = self.durable.request(id) else { return };
        let name = request.name.clone();
        let merged: Vec<RequestId> = self.durable.index().merged_into(id).collect();
        let Verdict { result, reason, exit_code } = verdict;
        let of_merged = merged_reason(&name, &reason);
        self.close_one(now, id, Verdict { result, reason, exit_code });
        for one in merged {
            self.close_one(now, one, Verdict { result, reason: of_merged.clone(), exit_code });
        }
    }

    fn close_one(&mut self, now: Now, id: RequestId, verdict: Verdict) {
        let Verdict { result, reason, exit_code } = verdict;
        let done = RequestState::Done { result, reason, exit_code, ended_us: now.wall_us };
        self.end_wait(now, id);
        self.durable.set_request_state(id, done);
        self.volatile.forget_request(id);
        self.actions.push(Action::RequestChanged { request: id });
        if matches!(result, BuildResult::Failure | BuildResult::Exception) {
            self.cancel_rest_of_buildset(now, id);
        }
    }
}

/// Says how a request ended that was merged into another.
fn merged_reason(into: &RequestName, reason: &str) -> String {
    if reason.is_empty() {
        format!("merged into {into}")
    } else {
        format!("merged into {into}: {reason}")
    }
}
