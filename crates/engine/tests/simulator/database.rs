//! The database as the simulated master sees it: every row ever written, in transactions.
//!
//! It is also the judge of history: a row that contradicts what was stored before is a bug.

use std::collections::{BTreeMap, BTreeSet};

use attempt::master::State;
use attempt::{CommandId, LostReason, Outcome};
use engine::row::{
    Build, Change, Command, Counter, Pending, Request, RequestState, Rows, SourceHeads,
    StepProgress, StepState, SubmissionKey,
};
use engine::{BuildId, BuildResult, ChangeId, RequestId, RequestName, Write};

use crate::host::Host;
use crate::judge::{Last, judge};
use crate::yard::LEVEL;

/// Every row by its key, the dead ones too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Database {
    pub(crate) counters: BTreeMap<String, Counter>,
    pub(crate) changes: BTreeMap<ChangeId, Change>,
    pub(crate) heads: BTreeMap<String, SourceHeads>,
    pub(crate) pending: BTreeMap<(String, String), Pending>,
    pub(crate) keys: BTreeMap<(String, String), SubmissionKey>,
    pub(crate) requests: BTreeMap<RequestId, Request>,
    pub(crate) builds: BTreeMap<BuildId, Build>,
    pub(crate) commands: BTreeMap<CommandId, Command>,
    /// The newest configuration.
    pub(crate) revision: i64,
    alive: Alive,
    names: BTreeMap<RequestName, RequestId>,
    slots: BTreeMap<(String, u32), BuildId>,
    /// Places of builds that ended, kept by commands that may still run.
    kept: BTreeMap<(String, u32), CommandId>,
    waiting: BTreeMap<String, BTreeMap<RequestId, i32>>,
    /// What each request was merged into last.
    merged: BTreeMap<RequestId, RequestId>,
    build_of: BTreeMap<RequestId, BuildId>,
    commands_of: BTreeMap<(BuildId, u32), Vec<CommandId>>,
}

/// The keys of the rows that are alive.
#[derive(Debug, Clone, Default)]
struct Alive {
    changes: BTreeSet<ChangeId>,
    requests: BTreeSet<RequestId>,
    builds: BTreeSet<BuildId>,
    commands: BTreeSet<CommandId>,
}

/// Notes whether the row of a key is alive.
fn note<K: Ord>(keys: &mut BTreeSet<K>, key: K, is_alive: bool) {
    if is_alive {
        keys.insert(key);
    } else {
        keys.remove(&key);
    }
}

/// Copies the rows of some keys.
fn pick<K: Ord, R: Clone>(rows: &BTreeMap<K, R>, keys: &BTreeSet<K>) -> Vec<R> {
    keys.iter().map(|key| rows[key].clone()).collect()
}

impl Database {
    /// Stores a transaction, each row held against history.
    pub(crate) fn commit(&mut self, writes: Vec<Write>, hosts: &[&Host]) {
        let mut ended = Vec::new();
        let mut begun = Vec::new();
        for write in writes {
            if let Write::Build(row) = &write
                && row.end.is_none()
            {
                begun.push((row.worker.to_string(), row.slot));
            }
            if let Write::Request(Request { id, state: RequestState::Done { .. }, .. }) = &write {
                ended.push(*id);
            }
            self.write(write, hosts);
        }
        for place in begun {
            let keeper = self.kept.get(&place);
            assert_eq!(keeper, None, "place {place:?} was given away while something runs there");
        }
        for request in ended {
            self.check_end(request, hosts);
        }
    }

    fn write(&mut self, write: Write, hosts: &[&Host]) {
        match write {
            Write::Counter(row) => self.counter(row),
            Write::Change(row) => self.change(row),
            Write::SourceHeads(row) => {
                self.heads.insert(row.source.to_string(), row);
            }
            Write::Pending(row) => {
                self.pending.insert((row.scheduler.to_string(), row.lane.clone()), row);
            }
            Write::SubmissionKey(row) => self.key(row),
            Write::Request(row) => self.request(row),
            Write::Build(row) => self.build(row),
            Write::Command(row) => self.command(row, hosts),
            Write::Revision(row) => {
                assert!(row.n > self.revision, "revision {} came late", row.n);
                self.revision = row.n;
            }
        }
    }

    /// Returns the rows that are alive: what the store loads at a start.
    pub(crate) fn living(&self) -> Rows {
        Rows {
            counters: self.counters.values().cloned().collect(),
            changes: pick(&self.changes, &self.alive.changes),
            heads: self.heads.values().cloned().collect(),
            pending: self.armed().cloned().collect(),
            requests: pick(&self.requests, &self.alive.requests),
            builds: pick(&self.builds, &self.alive.builds),
            commands: pick(&self.commands, &self.alive.commands),
        }
    }

    /// Returns the stable timers that run.
    pub(crate) fn armed(&self) -> impl Iterator<Item = &Pending> {
        self.pending.values().filter(|row| !row.changes.is_empty())
    }

    /// Finds a request, in whatever state.
    pub(crate) fn named(&self, name: &RequestName) -> Option<&Request> {
        self.requests.get(self.names.get(name)?)
    }

    fn counter(&mut self, row: Counter) {
        let before = self.counters.get(&row.name).map_or(0, |old| old.value);
        assert!(row.value > before, "counter {} went from {before} to {}", row.name, row.value);
        self.counters.insert(row.name.clone(), row);
    }

    fn change(&mut self, row: Change) {
        assert!(row.holders >= 0, "{} holders of change {}", row.holders, row.id);
        if let Some(old) = self.changes.get(&row.id) {
            let expected = Change { holders: row.holders, ..old.clone() };
            assert_eq!(row, expected, "an accepted change is a fact");
            assert!(old.holders > 0, "change {} came back to life", row.id);
        }
        note(&mut self.alive.changes, row.id, row.holders > 0);
        self.changes.insert(row.id, row);
    }

    fn key(&mut self, row: SubmissionKey) {
        let id = (row.principal.clone(), row.key.clone());
        let old = self.keys.insert(id, row);
        assert_eq!(old, None, "a key is answered once");
    }

    fn request(&mut self, row: Request) {
        match self.requests.get(&row.id) {
            None => {
                let other = self.names.insert(row.name.clone(), row.id);
                assert_eq!(other, None, "two requests are called {}", row.name);
                self.check_importance(&row);
            }
            Some(old) => check_request(old, &row),
        }
        match row.state {
            RequestState::Waiting => {
                let queue = self.waiting.entry(row.builder.to_string()).or_default();
                queue.insert(row.id, row.priority);
            }
            RequestState::Running { .. } => self.leave_queue(&row),
            RequestState::Merged { into } => {
                self.merged.insert(row.id, into);
                self.dequeue(&row);
            }
            RequestState::Done { .. } => self.dequeue(&row),
        }
        let is_alive = !matches!(row.state, RequestState::Done { .. });
        note(&mut self.alive.requests, row.id, is_alive);
        self.requests.insert(row.id, row);
    }

    fn dequeue(&mut self, row: &Request) {
        if let Some(queue) = self.waiting.get_mut(row.builder.as_str()) {
            queue.remove(&row.id);
        }
    }

    /// A request of a scheduler that weighs changes begins with an important one; those behind it
    /// are important as well where nothing else is taken along.
    fn check_importance(&self, row: &Request) {
        let is_important = |change: &ChangeId| {
            let files = &self.changes[change].files;
            files.is_empty() || files.iter().any(|file| file.starts_with(b"src/"))
        };
        let weighed = match row.reason.as_str() {
            "scheduler any" => &row.changes[..1],
            "scheduler sent" => &row.changes[..],
            _ => &[],
        };
        assert!(weighed.iter().all(is_important), "{} is of no importance", row.name);
    }

    /// A request ends as its build did, or was cancelled before it had one.
    fn check_end(&self, id: RequestId, hosts: &[&Host]) {
        let request = &self.requests[&id];
        let RequestState::Done { result, reason, .. } = &request.state else {
            panic!("{} ended and did not", request.name);
        };
        let result = *result;
        match self.build_of.get(&id) {
            Some(build) => {
                let end = self.builds[build].end.map(|(result, _)| result);
                assert_eq!(end, Some(result), "the build of {}", request.name);
                let was_stopped = self.builds[build].stop_reason.is_some();
                let is_cancelled = result == BuildResult::Cancelled;
                if reason.contains("given up") {
                    assert_eq!(result, BuildResult::Exception, "{} was given up", request.name);
                } else {
                    assert_eq!(is_cancelled, was_stopped, "{} ended as {result}", request.name);
                    if !was_stopped {
                        self.check_result(&self.builds[build], hosts);
                    }
                }
            }
            None if result == BuildResult::Cancelled && !reason.starts_with("merged into") => {}
            None => self.check_merged_end(request),
        }
    }

    /// What was merged into another request ends as that does.
    fn check_merged_end(&self, request: &Request) {
        let into = self.merged.get(&request.id).map(|into| &self.requests[into]);
        let into = into.unwrap_or_else(|| panic!("{} had no build", request.name));
        let end = |of: &Request| match &of.state {
            RequestState::Done { result, exit_code, .. } => Some((*result, *exit_code)),
            RequestState::Waiting | RequestState::Merged { .. } | RequestState::Running { .. } => {
                None
            }
        };
        assert_eq!(end(request), end(into), "{} and {}", request.name, into.name);
        assert!(
            self.build_of.contains_key(&into.id),
            "{} ended with one that did not run",
            request.name
        );
    }

    /// The result of a build is what Buildbot makes of its steps.
    fn check_result(&self, build: &Build, hosts: &[&Host]) {
        let last = |step: usize| self.last(build, step, hosts);
        let end = build.end.map(|(result, _)| result);
        let level = |step: usize| self.level(build, step, hosts);
        assert_eq!(end, Some(judge(build, level, last)), "the steps of {}", build.name);
    }

    /// How the last command of a step ended, and what it left.
    fn last<'a>(&'a self, build: &Build, step: usize, hosts: &[&'a Host]) -> Option<Last<'a>> {
        let step = u32::try_from(step).expect("a few");
        let id = self.commands_of.get(&(build.id, step))?.last()?;
        let outcome = self.commands[id].half.outcome()?;
        let left = hosts.iter().find_map(|host| host.witness.left.get(id));
        Some(Last { outcome, left })
    }

    /// What a command has to be given of the properties that every program is shown.
    pub(crate) fn properties(&self, command: CommandId, hosts: &[&Host]) -> Vec<String> {
        let row = &self.commands[&command];
        let build = &self.builds[&row.build];
        let request = &self.requests[&build.request];
        let level = self.level(build, row.step as usize, hosts);
        let site = match (build.worker.as_str(), request.reason.as_str()) {
            ("w2", _) => "few",
            (_, "scheduler main") => "scheduler",
            (_, _) => "global",
        };
        vec![level, site.to_owned(), request.owner.clone()]
    }

    /// What `level` is before a step.
    fn level(&self, build: &Build, step: usize, hosts: &[&Host]) -> String {
        let request = &self.requests[&build.request];
        let set = (0..step).rev().find_map(|step| {
            let is_cancelled = matches!(
                build.steps[step].state,
                StepState::Done { result: BuildResult::Cancelled, .. }
            );
            if is_cancelled {
                return None;
            }
            self.last(build, step, hosts)?.level()
        });
        let of_change = self.changes[&request.change].properties.get("level");
        let level = set.or_else(|| of_change.map(ToString::to_string));
        level.unwrap_or_else(|| LEVEL.to_owned())
    }

    /// The order of service within a builder: by priority, then by age.
    fn leave_queue(&mut self, row: &Request) {
        let queue = self.waiting.entry(row.builder.to_string()).or_default();
        queue.remove(&row.id);
        let overtaken =
            queue.iter().find(|(id, priority)| **id < row.id && **priority >= row.priority);
        assert_eq!(overtaken, None, "{} was served before its turn", row.name);
    }

    fn build(&mut self, row: Build) {
        let place = (row.worker.to_string(), row.slot);
        if let Some(old) = self.builds.get(&row.id) {
            assert_eq!(old.end, None, "build {} of {} had ended", row.id, row.name);
            let expected = Build {
                steps: row.steps.clone(),
                properties: row.properties.clone(),
                stop_reason: row.stop_reason.clone(),
                end: row.end,
                ..old.clone()
            };
            assert_eq!(row, expected, "a build keeps its place and its plan");
            if old.stop_reason.is_some() {
                assert_eq!(old.stop_reason, row.stop_reason, "the first reason to stop stays");
            }
            for (before, after) in old.steps.iter().zip(&row.steps) {
                check_step(before, after);
            }
        } else {
            let twin = self.build_of.insert(row.request, row.id);
            assert_eq!(twin, None, "{} has two builds", row.name);
        }
        if row.end.is_some() {
            self.slots.remove(&place);
        } else {
            let holder = *self.slots.entry(place.clone()).or_insert(row.id);
            assert_eq!(holder, row.id, "place {place:?} was given away twice");
        }
        note(&mut self.alive.builds, row.id, row.end.is_none());
        self.builds.insert(row.id, row);
    }

    fn command(&mut self, row: Command, hosts: &[&Host]) {
        let id = row.id();
        match self.commands.get(&id) {
            Some(old) => check_command(old, &row),
            None => self.check_attempt(&row),
        }
        let before = self.commands.get(&id).map(|old| old.half.state.clone());
        let old_outcome = self.commands.get(&id).and_then(|old| old.half.outcome().cloned());
        if let (None, Some(outcome)) = (old_outcome, row.half.outcome()) {
            check_truth(id, outcome, hosts);
        }
        if !self.commands.contains_key(&id) {
            self.commands_of.entry((row.build, row.step)).or_default().push(id);
        }
        let place = (row.worker.to_string(), row.slot);
        if row.half.is_unaccounted() {
            let keeper = *self.kept.entry(place.clone()).or_insert(id);
            assert_eq!(keeper, id, "place {place:?} was given away twice");
        } else if self.kept.get(&place) == Some(&id) {
            self.kept.remove(&place);
            // Its worker is no longer configured, and nobody can know; should it come back, it ends
            // this before it gets anything else.
            let is_written_off =
                before == Some(State::GivenUp) && matches!(row.half.state, State::Sealed { .. });
            let runs = hosts.iter().filter_map(|host| host.spool.get(&id));
            let runs = runs.filter(|entry| entry.is_supervised).count();
            assert!(runs == 0 || is_written_off, "{id} runs, and its place is free");
        }
        note(&mut self.alive.commands, id, !matches!(row.half.state, State::Sealed { .. }));
        self.commands.insert(id, row);
    }

    /// A step gets another command only where the last was lost and repeating it is safe.
    fn check_attempt(&self, row: &Command) {
        let earlier = self.commands_of.get(&(row.build, row.step)).map_or(&[][..], Vec::as_slice);
        assert_eq!(row.attempt as usize, earlier.len() + 1, "attempts are counted");
        for id in earlier {
            let outcome = self.commands[id].half.outcome();
            let was_lost =
                matches!(outcome, Some(Outcome::Lost(why)) if *why != LostReason::GivenUp);
            assert!(was_lost, "{} repeats {id}, which ended with {outcome:?}", row.id());
            let plan = &self.builds[&row.build].plan;
            assert!(plan.steps[row.step as usize].retry_safe, "{} may not repeat", row.id());
        }
    }

    fn check_merged(&self, request: &Request, into: &Request) {
        let is_possible =
            matches!(into.state, RequestState::Waiting | RequestState::Running { .. });
        assert!(
            is_possible,
            "{} is merged into {}, which is {:?}",
            request.name, into.name, into.state
        );
        check_alike(request, into, &self.changes);
        if let RequestState::Running { .. } = into.state {
            let all = request.changes.iter().all(|change| into.changes.contains(change));
            assert!(all, "{} does not build the changes of {}", into.name, request.name);
        }
    }

    /// Every number of the rows that is derived from others, counted again.
    pub(crate) fn check_sums(&self) {
        let mut holders: BTreeMap<ChangeId, i64> = BTreeMap::new();
        for request in self.requests.values() {
            match &request.state {
                RequestState::Done { .. } => continue,
                RequestState::Running { build } => {
                    let build = &self.builds[build];
                    assert_eq!(build.end, None, "{} runs in a build that ended", request.name);
                }
                RequestState::Merged { into } => self.check_merged(request, &self.requests[into]),
                RequestState::Waiting => {}
            }
            for change in &request.changes {
                *holders.entry(*change).or_default() += 1;
            }
        }
        for change in self.armed().flat_map(|pending| &pending.changes) {
            *holders.entry(*change).or_default() += 1;
        }
        for change in self.changes.values() {
            let counted = holders.get(&change.id).copied().unwrap_or(0);
            assert_eq!(change.holders, counted, "the holders of change {}", change.id);
        }
        for build in self.builds.values().filter(|build| build.end.is_none()) {
            let state = &self.requests[&build.request].state;
            let expected = RequestState::Running { build: build.id };
            assert_eq!(*state, expected, "build {} of {}", build.id, build.name);
        }
    }
}

/// Requests are merged only into one that asks for the same, for the same person.
fn check_alike(one: &Request, other: &Request, changes: &BTreeMap<ChangeId, Change>) {
    let of = |request: &Request| {
        let change = &changes[&request.change];
        let source = (change.source.clone(), change.branch.clone(), change.properties.clone());
        (request.builder.clone(), request.owner.clone(), request.properties.clone(), source)
    };
    assert_eq!(of(one), of(other), "{} and {}", one.name, other.name);
    assert!(one.collapses && other.collapses, "their builder does not merge");
}

/// How a request may change: its place in line while it waits, its changes when it begins to run.
fn check_request(old: &Request, new: &Request) {
    let was_queued = matches!(old.state, RequestState::Waiting | RequestState::Merged { .. });
    let begins =
        was_queued && !matches!(new.state, RequestState::Waiting | RequestState::Merged { .. });
    match (&old.state, &new.state) {
        (RequestState::Waiting | RequestState::Merged { .. }, _)
        | (RequestState::Running { .. }, RequestState::Done { .. }) => {}
        (RequestState::Running { build: old }, RequestState::Running { build: new })
            if old == new => {}
        (before, after) => panic!("{} went from {before:?} to {after:?}", old.name),
    }
    let mut expected = Request { state: new.state.clone(), ..old.clone() };
    if was_queued {
        expected.priority = new.priority;
        expected.waits = new.waits.clone();
        check_waits(old, new);
    }
    if begins {
        let kept = old.changes.iter().all(|change| new.changes.contains(change));
        assert!(kept, "{} lost a change", old.name);
        assert_eq!(new.changes.iter().max(), Some(&new.change), "the newest is built");
        (expected.change, expected.changes) = (new.change, new.changes.clone());
    }
    assert_eq!(*new, expected, "a request keeps what it was accepted with");
}

/// What was waited for is not forgotten, and nothing is once the wait is over.
fn check_waits(old: &Request, new: &Request) {
    for (hindrance, us) in &old.waits.spent {
        let now = new.waits.spent.get(hindrance);
        assert!(now.is_some_and(|now| now >= us), "{} forgets {hindrance}", old.name);
    }
    let is_waiting = matches!(new.state, RequestState::Waiting);
    assert!(is_waiting || new.waits.now.is_none(), "{} waits no longer", new.name);
}

fn check_step(before: &StepProgress, after: &StepProgress) {
    assert!(after.attempts >= before.attempts, "attempts went back");
    if let StepState::Done { .. } = before.state {
        assert_eq!(before, after, "a step that was over changed");
    }
}

fn check_command(old: &Command, new: &Command) {
    let id = old.id();
    assert!(!matches!(old.half.state, State::Sealed { .. }), "{id} was sealed");
    if let Some(outcome) = old.half.outcome() {
        assert_eq!(Some(outcome), new.half.outcome(), "the outcome of {id} changed");
    }
    let expected = Command {
        half: new.half.clone(),
        began_us: new.began_us,
        ended_us: new.ended_us,
        ..old.clone()
    };
    assert_eq!(*new, expected, "a command keeps where it belongs");
    assert_eq!(old.half.place, new.half.place, "{id} moved");
    assert!(old.began_us.is_none() || old.began_us == new.began_us, "{id} began twice");
}

/// What the master holds true is what happened.
fn check_truth(id: CommandId, outcome: &Outcome, hosts: &[&Host]) {
    match outcome {
        // It is said of what may well run.
        Outcome::Lost(LostReason::GivenUp) => {}
        Outcome::Lost(_) => {
            let mut entries = hosts.iter().filter_map(|host| host.spool.get(&id));
            assert!(!entries.any(|entry| entry.is_supervised), "{id} lives, yet it is {outcome}");
        }
        Outcome::Cancelled | Outcome::NotStarted(_) | Outcome::Unsent(_) => {
            let ran = hosts.iter().any(|host| host.witness.executions.contains_key(&id));
            assert!(!ran, "{id} ran, yet it is {outcome}");
        }
        Outcome::Exited(_)
        | Outcome::Signal(_)
        | Outcome::Timeout
        | Outcome::OutOfMemory
        | Outcome::ProcessLimit => {
            let end = hosts.iter().find_map(|host| host.witness.ends.get(&id));
            assert_eq!(end, Some(outcome), "the true end of {id}");
        }
    }
}
