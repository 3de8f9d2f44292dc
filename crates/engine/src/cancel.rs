//! Cancels what a scheduler no longer wants: older builds of a branch, and the rest of a buildset of
//! which one has failed.

use attempt::StopOrder;

use crate::engine::Engine;
use crate::id::{RequestId, RequestName};
use crate::row::{Request, RequestState};
use crate::scheduler::Scheduler;
use crate::time::Now;

impl Engine {
    /// Cancels what the scheduler asked for before on the branches of requests it has just made.
    pub(crate) fn cancel_old_builds(
        &mut self,
        now: Now,
        scheduler: &Scheduler,
        new: &[RequestName],
    ) {
        let new: Vec<&Request> =
            new.iter().filter_map(|name| self.durable.request_named(name)).collect();
        let superseded: Vec<(RequestId, String)> = new
            .iter()
            .flat_map(|request| {
                let reason = format!("superseded by {}", request.name);
                self.older_of_lane(scheduler, request).map(move |id| (id, reason.clone()))
            })
            .collect();
        for (id, reason) in superseded {
            self.stop_request(now, id, reason, StopOrder::ASK);
        }
    }

    /// Returns what lives of the scheduler's older requests for the same builder and branch.
    fn older_of_lane<'a>(
        &'a self,
        scheduler: &'a Scheduler,
        new: &'a Request,
    ) -> impl Iterator<Item = RequestId> + 'a {
        let lane =
            |request: &Request| self.durable.change(request.change).and_then(|c| scheduler.lane(c));
        let wanted = lane(new);
        let living = self.durable.index().scheduled(&scheduler.name, &new.builder);
        living.filter(move |id| {
            let older = self.durable.request(*id).filter(|older| older.buildset < new.buildset);
            older.is_some_and(|older| wanted.is_some() && lane(older) == wanted)
        })
    }

    /// Cancels the other requests of the buildset of one that has failed, where its scheduler wants
    /// that.
    pub(crate) fn cancel_rest_of_buildset(&mut self, now: Now, failed: RequestId) {
        let Some(request) = self.durable.request(failed) else { return };
        let scheduler = request.scheduler.as_ref().and_then(|s| self.settings.schedulers.get(s));
        let Some(scheduler) = scheduler.filter(|s| s.cancelling.failing_buildsets) else { return };
        let reason = format!("{} of the same buildset failed", request.name);
        // The requests of a buildset are made one after the other: their ids are neighbours.
        let reach = i64::try_from(scheduler.builders.len()).unwrap_or(i64::MAX);
        let ids = failed.0.saturating_sub(reach)..=failed.0.saturating_add(reach);
        let rest = ids.map(RequestId).filter(|id| {
            let other = self.durable.request(*id);
            other.is_some_and(|other| {
                other.buildset == request.buildset
                    && !matches!(other.state, RequestState::Done { .. })
            })
        });
        for id in rest.collect::<Vec<_>>() {
            self.stop_request(now, id, reason.clone(), StopOrder::ASK);
        }
    }
}
