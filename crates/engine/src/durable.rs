//! The durable state: tables of living rows, and the indexes derived from them.
//!
//! Invariant: an index is a function of the rows. Rows change only through the methods here
//! that keep the indexes right, or through `edit_*` for fields no index looks at.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use attempt::CommandId;
use config::Name;

use crate::id::{BuildId, BuildsetId, ChangeId, RequestId, RequestName};
use crate::lock::{Claim, Holdings};
use crate::request_index::RequestIndex;
use crate::row::{
    Build, Change, Command, Counter, Pending, Request, RequestState, Revision, Rows, SourceHeads,
    StepProgress, StepState, SubmissionKey, Write,
};
use crate::table::Table;
use crate::waits::Waits;

/// Which database and which start of a master this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Random, drawn when the database was made or restored.
    pub incarnation: u64,
    /// Rises with every start.
    pub epoch: i64,
}

/// A request's place in its builder's queue: higher priority first, then the older.
pub(crate) type QueueKey = (Reverse<i32>, RequestId);

/// Everything that survives a restart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durable {
    counters: Table<Counter>,
    pub(crate) changes: Table<Change>,
    pub(crate) heads: Table<SourceHeads>,
    pub(crate) pending: Table<Pending>,
    /// Accepted by the event at hand. Nothing is decided by older ones.
    new_keys: Vec<SubmissionKey>,
    /// Taken by the event at hand, likewise.
    new_revision: Option<Revision>,
    requests: Table<Request>,
    builds: Table<Build>,
    pub(crate) commands: Table<Command>,
    index: RequestIndex,
    slots: Slots,
    holdings: Holdings,
    /// Builds whose next step waits for its locks, in their turn.
    blocked: BTreeMap<i64, BuildId>,
}

/// The places of each worker that are taken, and by which builds. One that has ended has its
/// place still while a command of it was given up and may run.
type Slots = BTreeMap<Name, BTreeMap<u32, BuildId>>;

/// Notes what a step holds or waits for.
fn enter_step(
    holdings: &mut Holdings,
    blocked: &mut BTreeMap<i64, BuildId>,
    build: &Build,
    step: u32,
) {
    match build.steps.get(step as usize).map(|progress| progress.state) {
        Some(StepState::Running) => {
            holdings.take(build.id, &build.worker, claims_of(build, step));
        }
        Some(StepState::Blocked { turn, .. }) => drop(blocked.insert(turn, build.id)),
        Some(StepState::Waiting | StepState::Done { .. }) | None => {}
    }
}

/// Takes back what was noted of a step.
fn leave_step(
    holdings: &mut Holdings,
    blocked: &mut BTreeMap<i64, BuildId>,
    build: &Build,
    step: u32,
) {
    match build.steps.get(step as usize).map(|progress| progress.state) {
        Some(StepState::Running) => holdings.release(build.id, claims_of(build, step)),
        Some(StepState::Blocked { turn, .. }) => drop(blocked.remove(&turn)),
        Some(StepState::Waiting | StepState::Done { .. }) | None => {}
    }
}

fn claims_of(build: &Build, step: u32) -> &[Claim] {
    build.plan.steps.get(step as usize).map_or(&[], |step| &step.locks)
}

fn free(slots: &mut Slots, worker: &Name, slot: u32) {
    if let Some(taken) = slots.get_mut(worker) {
        taken.remove(&slot);
        if taken.is_empty() {
            slots.remove(worker);
        }
    }
}

impl Durable {
    /// Rebuilds the state from its rows.
    pub(crate) fn restore(rows: Rows) -> Self {
        let mut durable = Self {
            counters: Table::restore(rows.counters),
            changes: Table::restore(rows.changes),
            heads: Table::restore(rows.heads),
            pending: Table::restore(rows.pending),
            commands: Table::restore(rows.commands),
            ..Self::default()
        };
        for request in &rows.requests {
            durable.index.enter(request);
        }
        for build in &rows.builds {
            durable.index_build(build);
        }
        durable.requests = Table::restore(rows.requests);
        durable.builds = Table::restore(rows.builds);
        let commands: Vec<_> = durable.commands.iter().map(Command::id).collect();
        for command in commands {
            durable.keep_place(command);
        }
        durable
    }

    /// Returns all living rows, as a restore would find them.
    pub fn rows(&self) -> Rows {
        Rows {
            counters: self.counters.iter().cloned().collect(),
            changes: self.changes.iter().cloned().collect(),
            heads: self.heads.iter().cloned().collect(),
            pending: self.pending.iter().cloned().collect(),
            requests: self.requests.iter().cloned().collect(),
            builds: self.builds.iter().cloned().collect(),
            commands: self.commands.iter().cloned().collect(),
        }
    }

    /// Hands out what was touched since the last call.
    pub(crate) fn drain(&mut self) -> Vec<Write> {
        let mut writes: Vec<Write> = Vec::new();
        writes.extend(self.counters.drain().into_iter().map(Write::Counter));
        writes.extend(self.changes.drain().into_iter().map(Write::Change));
        writes.extend(self.heads.drain().into_iter().map(Write::SourceHeads));
        writes.extend(self.pending.drain().into_iter().map(Write::Pending));
        writes.extend(self.new_keys.drain(..).map(Write::SubmissionKey));
        writes.extend(self.requests.drain().into_iter().map(Write::Request));
        writes.extend(self.builds.drain().into_iter().map(Write::Build));
        writes.extend(self.commands.drain().into_iter().map(Write::Command));
        writes.extend(self.new_revision.take().map(Write::Revision));
        writes
    }

    /// Leaves out the next values of every counter.
    pub(crate) fn raise_counters(&mut self, by: i64) {
        let names: Vec<String> = self.counters.iter().map(|counter| counter.name.clone()).collect();
        for name in names {
            if let Some(counter) = self.counters.edit(&name) {
                counter.value = counter.value.saturating_add(by);
            }
        }
    }

    fn next(&mut self, name: &str) -> i64 {
        let value = self.counters.get(&name.to_owned()).map_or(0, |counter| counter.value) + 1;
        self.counters.put(Counter { name: name.to_owned(), value });
        value
    }

    pub(crate) fn next_change(&mut self) -> ChangeId {
        ChangeId(self.next("change"))
    }

    pub(crate) fn next_buildset(&mut self) -> BuildsetId {
        BuildsetId(self.next("buildset"))
    }

    pub(crate) fn next_request(&mut self) -> RequestId {
        RequestId(self.next("request"))
    }

    pub(crate) fn next_build(&mut self) -> BuildId {
        BuildId(self.next("build"))
    }

    /// Draws the next turn at a lock.
    pub(crate) fn next_turn(&mut self) -> i64 {
        self.next("turn")
    }

    pub(crate) fn next_command(&mut self) -> i64 {
        self.next("command")
    }

    /// Draws the next name under a label.
    pub(crate) fn next_name(&mut self, label: &Name) -> RequestName {
        let number = self.next(&format!("#{label}"));
        RequestName { label: label.clone(), number }
    }

    /// Returns a living request.
    pub fn request(&self, id: RequestId) -> Option<&Request> {
        self.requests.get(&id)
    }

    /// Returns every living request, oldest first.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter()
    }

    /// Finds a living request by its name.
    pub fn request_named(&self, name: &RequestName) -> Option<&Request> {
        self.requests.get(&self.index.named(name)?)
    }

    /// Returns a living build.
    pub fn build(&self, id: BuildId) -> Option<&Build> {
        self.builds.get(&id)
    }

    /// Returns every living build, oldest first.
    pub fn builds(&self) -> impl Iterator<Item = &Build> {
        self.builds.iter()
    }

    /// Returns every command that is not yet sealed.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        self.commands.iter()
    }

    /// Returns a change that something still holds.
    pub fn change(&self, id: ChangeId) -> Option<&Change> {
        self.changes.get(&id)
    }

    /// Returns the heads a source has committed; `None` where it was never polled.
    pub fn heads_of(&self, source: &Name) -> Option<BTreeMap<String, String>> {
        self.heads.get(source).map(|row| row.heads.clone())
    }

    /// Returns what finds living requests.
    pub(crate) fn index(&self) -> &RequestIndex {
        &self.index
    }

    /// Returns which places of a worker are taken, and by which builds.
    pub(crate) fn slots(&self, worker: &Name) -> Option<&BTreeMap<u32, BuildId>> {
        self.slots.get(worker)
    }

    /// Returns who holds which locks.
    pub(crate) fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// Returns the builds whose next step waits for its locks, in their turn.
    pub(crate) fn blocked(&self) -> impl Iterator<Item = (i64, BuildId)> {
        self.blocked.iter().map(|(turn, build)| (*turn, *build))
    }

    pub(crate) fn add_request(&mut self, request: Request) {
        for change in &request.changes {
            self.hold(*change);
        }
        self.index.enter(&request);
        self.requests.put(request);
    }

    /// Changes a request; the index follows.
    fn change_request(&mut self, id: RequestId, change: impl FnOnce(&mut Request)) {
        let Some(request) = self.requests.edit(&id) else { return };
        self.index.leave(request);
        change(request);
        self.index.enter(request);
    }

    /// Moves a request on.
    pub(crate) fn set_request_state(&mut self, id: RequestId, state: RequestState) {
        let is_done = matches!(state, RequestState::Done { .. });
        self.change_request(id, |request| request.state = state);
        let changes = self.requests.get(&id).filter(|_| is_done).map(|row| row.changes.clone());
        for change in changes.into_iter().flatten() {
            self.release(change);
        }
    }

    /// Changes what a request has waited for.
    pub(crate) fn edit_waits(&mut self, id: RequestId, change: impl FnOnce(&mut Waits)) {
        if let Some(request) = self.requests.edit(&id) {
            change(&mut request.waits);
        }
    }

    /// Moves a request that waits to another place in its builder's line.
    pub(crate) fn set_request_priority(&mut self, id: RequestId, priority: i32) {
        self.change_request(id, |request| request.priority = priority);
    }

    /// Has a request stand for more changes. The newest of all is its change.
    pub(crate) fn add_changes(&mut self, id: RequestId, changes: &[ChangeId]) {
        let Some(request) = self.requests.edit(&id) else { return };
        let mut all: BTreeSet<ChangeId> = request.changes.iter().copied().collect();
        let new: Vec<ChangeId> = changes.iter().copied().filter(|id| all.insert(*id)).collect();
        request.changes = all.iter().copied().collect();
        request.change = all.last().copied().unwrap_or(request.change);
        for change in new {
            self.hold(change);
        }
    }

    pub(crate) fn add_build(&mut self, build: Build) {
        self.index_build(&build);
        self.builds.put(build);
    }

    /// Changes how far a step of a build is.
    pub(crate) fn edit_step(
        &mut self,
        id: BuildId,
        step: u32,
        change: impl FnOnce(&mut StepProgress),
    ) {
        let Some(build) = self.builds.edit(&id) else { return };
        leave_step(&mut self.holdings, &mut self.blocked, build, step);
        if let Some(progress) = build.steps.get_mut(step as usize) {
            change(progress);
        }
        enter_step(&mut self.holdings, &mut self.blocked, build, step);
    }

    /// Returns a build for changing anything but its place, its steps and its end.
    pub(crate) fn edit_build(&mut self, id: BuildId) -> Option<&mut Build> {
        self.builds.edit(&id)
    }

    /// Ends a build and frees its place.
    pub(crate) fn end_build(&mut self, id: BuildId, result: crate::BuildResult, ended_us: i64) {
        let Some(build) = self.builds.edit(&id) else { return };
        build.end = Some((result, ended_us));
        free(&mut self.slots, &build.worker, build.slot);
        self.holdings.release(id, &build.plan.locks);
    }

    /// Lets a command that may still run keep the place of its build, which has ended. Says
    /// whether it does.
    pub(crate) fn keep_place(&mut self, id: CommandId) -> bool {
        let Some(command) = self.commands.get(&id) else { return false };
        if command.half.is_unaccounted() {
            let slots = self.slots.entry(command.worker.clone()).or_default();
            slots.insert(command.slot, command.build);
            self.holdings.take(command.build, &command.worker, &command.locks);
        }
        command.half.is_unaccounted()
    }

    /// Frees the place that a command has kept: nothing of it runs any more.
    pub(crate) fn free_kept_place(&mut self, id: CommandId) {
        let Some(command) = self.commands.get(&id) else { return };
        free(&mut self.slots, &command.worker, command.slot);
        self.holdings.release(command.build, &command.locks);
    }

    /// Has the store keep what was answered to a key.
    pub(crate) fn keep_key(&mut self, key: SubmissionKey) {
        self.new_keys.push(key);
    }

    /// Has the store keep a configuration.
    pub(crate) fn keep_revision(&mut self, revision: Revision) {
        self.new_revision = Some(revision);
    }

    /// Notes that something needs the change.
    pub(crate) fn hold(&mut self, change: ChangeId) {
        if let Some(change) = self.changes.edit(&change) {
            change.holders += 1;
        }
    }

    /// Notes that something no longer needs the change.
    pub(crate) fn release(&mut self, change: ChangeId) {
        if let Some(change) = self.changes.edit(&change) {
            change.holders -= 1;
        }
    }

    fn index_build(&mut self, build: &Build) {
        self.slots.entry(build.worker.clone()).or_default().insert(build.slot, build.id);
        self.holdings.take(build.id, &build.worker, &build.plan.locks);
        for (step, _) in (0u32..).zip(&build.steps) {
            enter_step(&mut self.holdings, &mut self.blocked, build, step);
        }
    }
}
