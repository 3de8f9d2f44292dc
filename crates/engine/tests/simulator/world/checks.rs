//! What has to hold after every step, and now and then of the whole.

use attempt::LostReason::GivenUp;
use attempt::Outcome;
use config::Name;
use engine::lock::Access;
use engine::row::{Build, Request, RequestState, StepState};
use engine::{Durable, Engine, Identity, StartOrder, Write};

use super::{INCARNATION, World};
use crate::host::Host;
use crate::yard::{EQUIPPED, GPUS, LICENCE, MOST_LICENCES, TREE};

impl World {
    /// What was touched equals its row: the live state holds nothing that is not written.
    pub(super) fn check_touched(&self, write: &Write) {
        let durable = self.engine.durable();
        let is_equal = match write {
            Write::Request(row) => durable.request(row.id).is_none_or(|live| live == row),
            Write::Build(row) => durable.build(row.id).is_none_or(|live| live == row),
            Write::Change(row) => durable.change(row.id).is_none_or(|live| live == row),
            Write::Command(row) => {
                let live = durable.commands().find(|command| command.id() == row.id());
                live.is_none_or(|live| live == row)
            }
            Write::SourceHeads(row) => durable.heads_of(&row.source).as_ref() == Some(&row.heads),
            Write::Counter(_)
            | Write::Pending(_)
            | Write::SubmissionKey(_)
            | Write::Revision(_) => true,
        };
        assert!(is_equal, "the live state differs from {write:?}");
    }

    /// Nothing is given up for want of a follower while it has one.
    pub(super) fn check_abandoned(&self, write: &Write) {
        if let Write::Request(Request { id, state: RequestState::Done { reason, .. }, .. }) = write
            && reason == "its caller left"
            && self
                .database
                .requests
                .get(id)
                .is_some_and(|old| matches!(old.state, RequestState::Waiting))
        {
            assert!(!self.clients.following.contains_key(id), "{id} was followed");
        }
    }

    /// Whatever can start has started, and whatever began goes on.
    pub(super) fn check_no_idling(&self) {
        let durable = self.engine.durable();
        for worker in self.machines.keys() {
            let Some((_, capacity)) = self.engine.attached(worker) else { continue };
            let builds = durable.builds().filter(|build| build.worker == *worker).count();
            let builds = builds + self.engine.kept_places(worker) as usize;
            if builds >= capacity as usize || self.engine.has_unknown_commands(worker) {
                continue;
            }
            // What is left may be kept for one that needs all there is.
            let is_kept = durable.requests().any(|request| {
                matches!(request.state, RequestState::Waiting)
                    && request.builder.as_str() == "large"
            });
            let is_taken = |builder: &str| {
                let has = self.engine.resources(worker).amount("gpus");
                let taken = self.engine.resources_taken(worker).amount("gpus");
                let has_none = is_kept || taken >= has || self.engine.kept_places(worker) > 0;
                let is_locked =
                    ["licensed", "audit"].contains(&builder) && !self.licences().is_empty();
                builder == "large" || (builder == "small" && has_none) || is_locked
            };
            let idle = durable.requests().find(|request| {
                let settings = self.engine.settings();
                let builder = settings.builders.get(&request.builder);
                matches!(request.state, RequestState::Waiting)
                    && builder.is_some_and(|builder| settings.may_run(worker, builder))
                    && !is_taken(request.builder.as_str())
            });
            assert_eq!(idle, None, "{worker} is idle");
        }
        for build in durable.builds() {
            let goes_on = durable
                .commands()
                .any(|command| command.build == build.id && command.half.outcome().is_none());
            let waits = self.engine.attached(&build.worker).is_none()
                || (is_blocked(build) && self.trees(&build.worker) > 0);
            assert!(goes_on || waits, "nothing moves build {} of {}", build.id, build.name);
        }
    }

    /// A command is given the properties that rank highest among those set before it.
    pub(super) fn check_properties(&self, order: &StartOrder) {
        let hosts: Vec<&Host> = self.machines.values().map(|machine| &machine.host).collect();
        let given = order.argv[1..].iter().map(|word| String::from_utf8_lossy(word).into_owned());
        let expected = self.database.properties(order.command, &hosts);
        assert_eq!(given.collect::<Vec<_>>(), expected, "{} is given", order.command);
    }

    /// Returns how each that has the licence has it, or may have it still.
    fn licences(&self) -> Vec<Access> {
        let durable = self.engine.durable();
        let builds = durable.builds().flat_map(|build| &build.plan.locks);
        let kept = durable.commands().filter(|row| row.half.is_unaccounted());
        let all = builds.chain(kept.flat_map(|row| &row.locks));
        all.filter(|claim| claim.lock.as_str() == LICENCE).map(|claim| claim.access).collect()
    }

    /// Counts the units of the licence that are held; the whole of it is one.
    pub(super) fn licences_held(&self) -> u32 {
        let units = self.licences().into_iter().map(|access| match access {
            Access::Exclusive => 1,
            Access::Counting(count) => count,
        });
        units.sum()
    }

    /// Counts what runs on a worker, or may run, in a step that has its tree.
    fn trees(&self, worker: &Name) -> usize {
        let running = self
            .engine
            .durable()
            .commands()
            .filter(|row| row.half.outcome().is_none() || row.half.is_unaccounted());
        let here = running.filter(|row| row.worker == *worker).flat_map(|row| &row.locks);
        here.filter(|claim| claim.lock.as_str() == TREE).count()
    }

    fn check_locks(&self) {
        let licences = self.licences();
        assert!(self.licences_held() <= MOST_LICENCES, "the licence is held by {licences:?}");
        let is_whole = licences.contains(&Access::Exclusive);
        assert!(!is_whole || licences.len() == 1, "the licence is held by {licences:?}");
        for worker in self.machines.keys() {
            assert!(self.trees(worker) <= 1, "two have the tree of {worker}");
        }
    }

    pub(super) fn check_step(&mut self) {
        self.check_locks();
        for machine in self.machines.values_mut() {
            let builds = self.engine.durable().builds();
            let builds = builds.filter(|build| build.worker == machine.name).count();
            let builds = builds + self.engine.kept_places(&machine.name) as usize;
            assert!(builds <= machine.max_builds as usize, "{} is overfull", machine.name);
            let living = self.engine.durable().builds();
            let living = living.filter(|build| build.worker == machine.name);
            let taken: u64 = living.map(|build| build.plan.resources.amount("gpus")).sum();
            let has = if machine.name.as_str() == EQUIPPED { GPUS } else { 0 };
            assert!(taken <= has, "builds on {} take {taken} of {has}", machine.name);
            for (command, log_bytes) in std::mem::take(&mut machine.host.deleted) {
                let held = machine.logs.get(&command).copied().unwrap_or(0);
                // Of a lost command there may be less; one that was given up is told whole.
                let is_lost = self.database.commands.get(&command).is_none_or(
                    |row| matches!(row.half.outcome(), Some(Outcome::Lost(why)) if *why != GivenUp),
                );
                let is_lost = is_lost || self.written_off.contains(&command);
                assert!(is_lost || held >= log_bytes, "the log of {command} has a hole");
            }
        }
        let revision = self.engine.settings().revision;
        assert_eq!(revision, self.database.revision, "the configuration in force is not stored");
        if self.database.armed().next().is_some() {
            assert_ne!(self.engine.deadline(), None, "a stable timer does not run");
        }
    }

    /// The live state is what a restart would find.
    pub(crate) fn check_whole(&self) {
        let mut rows = self.database.living();
        if let Some(mutant) = self.mutant {
            mutant.spoil_load(&mut rows);
        }
        let identity = Identity { incarnation: INCARNATION, epoch: self.epoch };
        let (restored, _) = Engine::restore(self.settings.clone(), identity, rows, self.now);
        let (restored, live) = (restored.durable(), self.engine.durable());
        assert!(restored == live, "{}", first_difference(restored, live));
    }

    /// The rows agree with each other, and nothing accepted has vanished.
    pub(crate) fn check_history(&self) {
        self.database.check_sums();
        self.clients.check_accepted(&self.engine, &self.database);
    }
}

fn is_blocked(build: &Build) -> bool {
    build.steps.iter().any(|step| matches!(step.state, StepState::Blocked { .. }))
}

fn first_difference(restored: &Durable, live: &Durable) -> String {
    let (restored, live) = (format!("{restored:#?}"), format!("{live:#?}"));
    let mut lines = restored.lines().zip(live.lines());
    let at = lines.position(|(restored, live)| restored != live).unwrap_or_default();
    let around = |text: &str| {
        let lines: Vec<_> = text.lines().skip(at.saturating_sub(12)).take(16).collect();
        lines.join("\n")
    };
    format!("restored:\n{}\nlive:\n{}", around(&restored), around(&live))
}
