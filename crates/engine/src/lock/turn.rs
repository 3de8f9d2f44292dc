//! Steps that wait for their locks: first come, first served.

use config::Name;

use super::{Claim, Kept};
use crate::engine::Engine;
use crate::id::{BuildId, RequestId};
use crate::row::{Build, StepState};
use crate::time::Now;

/// A step whose build waits for its locks.
struct Waiter<'a> {
    build: &'a Build,
    step: u32,
}

impl Waiter<'_> {
    fn claims(&self) -> &[Claim] {
        self.build.plan.steps.get(self.step as usize).map_or(&[], |step| &step.locks)
    }
}

impl Engine {
    /// Says whether a step has to wait for its locks: somebody holds one, or came before.
    pub(crate) fn has_to_wait(&self, id: BuildId, step: u32) -> bool {
        let Some(build) = self.durable.build(id) else { return false };
        let one = Waiter { build, step };
        if one.claims().is_empty() {
            return false;
        }
        let turn = match build.steps[step as usize].state {
            StepState::Blocked { turn, .. } => turn,
            StepState::Waiting | StepState::Running | StepState::Done { .. } => i64::MAX,
        };
        let mut kept = Kept::default();
        self.keep_for_steps(&mut kept, turn);
        !self.are_free(one.claims(), &build.worker, &kept)
    }

    /// Has a step wait for its locks, behind those that wait already.
    pub(crate) fn wait_for_locks(&mut self, now: Now, id: BuildId, step: u32) {
        let state = self.durable.build(id).map(|build| build.steps[step as usize].state);
        if matches!(state, Some(StepState::Blocked { .. })) {
            return;
        }
        let turn = self.durable.next_turn();
        self.set_step(now, id, step, StepState::Blocked { turn, since_us: now.wall_us }, "");
    }

    /// Starts the steps whose turn has come.
    pub(crate) fn grant_locks(&mut self, now: Now) {
        loop {
            let granted = self.granted();
            if granted.is_empty() {
                return;
            }
            for (build, step) in granted {
                self.assign(now, build, step);
            }
        }
    }

    /// Returns the steps that can have their locks, none of which keeps another from it.
    fn granted(&self) -> Vec<(BuildId, u32)> {
        let mut kept = Kept::default();
        let mut granted = Vec::new();
        for Waiter { build, step } in self.waiters(i64::MAX) {
            let waiter = Waiter { build, step };
            if self.are_free(waiter.claims(), &build.worker, &kept) {
                granted.push((build.id, step));
            }
            // Also for one that goes now: the next is looked at when that is done.
            self.keep_one(&mut kept, build, step);
        }
        granted
    }

    /// Keeps for the steps that wait, up to a turn, what they wait for.
    pub(crate) fn keep_for_steps<'a>(&'a self, kept: &mut Kept<'a>, before: i64) {
        for Waiter { build, step } in self.waiters(before) {
            self.keep_one(kept, build, step);
        }
    }

    fn keep_one<'a>(&'a self, kept: &mut Kept<'a>, build: &'a Build, step: u32) {
        let claims = build.plan.steps.get(step as usize).map_or(&[][..], |step| &step.locks);
        kept.keep(claims, &build.worker, &self.settings, build.request);
    }

    /// Returns the steps that wait before a turn, in their order. One whose worker is away could do
    /// nothing with a lock.
    fn waiters(&self, before: i64) -> impl Iterator<Item = Waiter<'_>> {
        let blocked = self.durable.blocked().take_while(move |(turn, _)| *turn < before);
        let builds = blocked.filter_map(|(_, id)| self.durable.build(id));
        let present = builds.filter(|build| self.volatile.workers.contains_key(&build.worker));
        present.filter_map(|build| {
            let is_blocked = |(_, progress): &(u32, &crate::row::StepProgress)| {
                matches!(progress.state, StepState::Blocked { .. })
            };
            let (step, _) = (0u32..).zip(&build.steps).find(is_blocked)?;
            Some(Waiter { build, step })
        })
    }

    /// Says whether locks are free on a worker, and not kept for somebody else.
    pub(crate) fn are_free(&self, claims: &[Claim], worker: &Name, kept: &Kept<'_>) -> bool {
        claims.iter().all(|claim| {
            kept.keeper(claim, worker, &self.settings).is_none()
                && self.holders_against(claim, worker).is_empty()
        })
    }

    /// Returns which builds keep a lock from being taken on a worker.
    pub(crate) fn holders_against(&self, claim: &Claim, worker: &Name) -> Vec<BuildId> {
        if !claim.access.is_something() {
            return Vec::new();
        }
        let definition = self.settings.locks.get(&claim.lock);
        self.durable.holdings().against(claim, definition, worker)
    }

    /// Keeps what a request waits for, wherever it could run.
    pub(crate) fn keep_for_request<'a>(
        &'a self,
        kept: &mut Kept<'a>,
        claims: &'a [Claim],
        workers: impl Iterator<Item = &'a Name>,
        request: RequestId,
    ) {
        for worker in workers {
            kept.keep(claims, worker, &self.settings, request);
        }
    }
}
