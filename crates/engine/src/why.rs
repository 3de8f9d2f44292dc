//! Says where a request is and what it waits for.

use config::{Name, Unmet};

use crate::dispatch::Reserved;
use crate::engine::Engine;
use crate::event::Readiness;
use crate::id::{BuildId, RequestId, RequestName};
use crate::lock::{Claim, Kept, Scope};
use crate::resources::Lack;
use crate::row::{Build, RequestState, StepState};
use crate::settings::Builder;
use crate::volatile::Absence;

/// Where a living request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Waiting {
        /// Place in its builder's queue, from 1.
        place: u32,
        blockers: Vec<Blocker>,
    },
    /// It asks for the same as another.
    Merged {
        into: RequestName,
        /// Where that is.
        standing: Box<Standing>,
    },
    Running {
        build: BuildId,
        worker: Name,
        /// Since when its worker is away; `None` where it is attached.
        away: Option<Absence>,
        /// Somebody wants it ended.
        is_stopped: bool,
        /// The step that runs, if one does.
        step: Option<Name>,
        /// What the next step waits for, if that is its locks.
        wait: Option<StepWait>,
    },
}

/// A step that waits for its locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepWait {
    pub step: Name,
    pub since_us: i64,
    pub blockers: Vec<Blocker>,
}

/// One thing that keeps a request from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocker {
    /// The configuration no longer has the builder.
    BuilderUnknown { builder: Name },
    /// No worker that may run it is attached.
    NoWorkerAttached { configured: Vec<Name> },
    /// A worker finishes what it has and takes no other build.
    WorkerDraining { worker: Name, left: u32 },
    /// Every place of a worker is taken.
    WorkerFull {
        worker: Name,
        places: u32,
        by: Vec<RequestName>,
        /// Places kept by commands that were given up and that the worker is now ending.
        kept: u32,
    },
    /// A worker has to end first what nobody here knows.
    WorkerEnding { worker: Name },
    /// A worker is not what the builder requires.
    Unfit { worker: Name, unmet: Unmet },
    /// A worker has too little left of something.
    Lacks { worker: Name, lack: Lack },
    /// What a worker has left is kept for one that is served before and needs more of it.
    KeptFor { worker: Name, request: RequestName },
    /// A lock is held by others.
    LockHeld {
        lock: Name,
        /// Where, if each worker has its own.
        worker: Option<Name>,
        by: Vec<RequestName>,
    },
    /// A lock is kept for one that came before.
    LockKept { lock: Name, worker: Option<Name>, request: RequestName },
    /// Others are served before.
    Behind { ahead: u32 },
}

impl Engine {
    /// Returns where a living request is, or `None` where it has ended or never was.
    pub fn standing(&self, id: RequestId) -> Option<Standing> {
        let request = self.durable.request(id)?;
        match request.state {
            RequestState::Done { .. } => None,
            RequestState::Merged { into } => Some(Standing::Merged {
                into: self.durable.request(into)?.name.clone(),
                standing: Box::new(self.standing(into)?),
            }),
            RequestState::Running { build } => self.running(build),
            RequestState::Waiting => {
                let ahead =
                    self.durable.index().ahead_of(&request.builder, &request.queue_key())?;
                let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
                let mut blockers = self.builder_blockers(&request.builder);
                if ahead > 0 {
                    blockers.push(Blocker::Behind { ahead });
                }
                Some(Standing::Waiting { place: ahead.saturating_add(1), blockers })
            }
        }
    }

    fn running(&self, id: BuildId) -> Option<Standing> {
        let build = self.durable.build(id)?;
        let is_running = |(_, progress): &(_, &crate::row::StepProgress)| {
            matches!(progress.state, StepState::Running)
        };
        let step = build.plan.steps.iter().zip(&build.steps).find(is_running);
        Some(Standing::Running {
            build: id,
            worker: build.worker.clone(),
            away: self.volatile.absence(&build.worker),
            is_stopped: build.stop_reason.is_some(),
            step: step.map(|(step, _)| step.name.clone()),
            wait: self.step_wait(build),
        })
    }

    fn step_wait(&self, build: &Build) -> Option<StepWait> {
        let mut steps = (0u32..).zip(build.plan.steps.iter().zip(&build.steps));
        let (step, since_us, turn) =
            steps.find_map(|(_, (step, progress))| match progress.state {
                StepState::Blocked { since_us, turn } => Some((step, since_us, turn)),
                StepState::Waiting | StepState::Running | StepState::Done { .. } => None,
            })?;
        let mut kept = Kept::default();
        self.keep_for_steps(&mut kept, turn);
        let blockers =
            step.locks.iter().filter_map(|claim| self.lock_blocker(claim, &build.worker, &kept));
        Some(StepWait { step: step.name.clone(), since_us, blockers: blockers.collect() })
    }

    /// Returns why a lock cannot be taken on a worker.
    fn lock_blocker(&self, claim: &Claim, worker: &Name, kept: &Kept<'_>) -> Option<Blocker> {
        let is_of_worker =
            self.settings.locks.get(&claim.lock).map(|lock| lock.scope) == Some(Scope::Worker);
        let (lock, worker_named) = (claim.lock.clone(), is_of_worker.then(|| worker.clone()));
        let holders = self.holders_against(claim, worker);
        if !holders.is_empty() {
            let by = holders.into_iter().filter_map(|id| self.name_of(id)).collect();
            return Some(Blocker::LockHeld { lock, worker: worker_named, by });
        }
        let keeper = kept.keeper(claim, worker, &self.settings)?;
        let request = self.durable.request(keeper)?.name.clone();
        Some(Blocker::LockKept { lock, worker: worker_named, request })
    }

    /// Returns the name of a build, also of one that has ended and of which something may run.
    fn name_of(&self, id: BuildId) -> Option<RequestName> {
        self.durable.build(id).map(|build| build.name.clone())
    }

    /// Returns what keeps the first in a builder's line waiting.
    pub(crate) fn builder_blockers(&self, name: &Name) -> Vec<Blocker> {
        let head = self.durable.index().head(name).map(|(_, request)| request);
        self.blockers_with(name, &self.reserved_before(head))
    }

    /// The same, where what is kept for those before is known.
    pub(crate) fn blockers_with(&self, name: &Name, reserved: &Reserved<'_>) -> Vec<Blocker> {
        let Some(builder) = self.settings.builders.get(name) else {
            return vec![Blocker::BuilderUnknown { builder: name.clone() }];
        };
        let groups =
            self.settings.workers.iter().filter(|(group, _)| builder.workers.contains(group));
        let configured: Vec<Name> = groups.flat_map(|(_, group)| group.names.clone()).collect();
        let attached: Vec<&Name> = configured
            .iter()
            .filter(|worker| self.volatile.workers.contains_key(*worker))
            .collect();
        if attached.is_empty() {
            return vec![Blocker::NoWorkerAttached { configured }];
        }
        let mut blockers: Vec<Blocker> = Vec::new();
        for worker in attached {
            let found = self.blocker(name, builder, worker, reserved);
            // A lock of the whole master is one reason, not one for each worker.
            blockers.extend(found.filter(|found| !blockers.contains(found)));
        }
        blockers
    }

    /// Returns why the first in a builder's line does not start on an attached worker.
    fn blocker(
        &self,
        name: &Name,
        builder: &Builder,
        worker: &Name,
        reserved: &Reserved<'_>,
    ) -> Option<Blocker> {
        if let Some(unmet) = self.unfit(worker, name) {
            return Some(Blocker::Unfit { worker: worker.clone(), unmet: unmet.clone() });
        }
        if self.has_unknown_commands(worker) {
            return Some(Blocker::WorkerEnding { worker: worker.clone() });
        }
        if self.free_places(worker) == 0 {
            return Some(self.worker_blocker(worker));
        }
        if let Some(lack) = self.lack(&builder.resources, worker) {
            return Some(Blocker::Lacks { worker: worker.clone(), lack });
        }
        let locks = builder.locks.iter();
        let mut locks = locks.filter_map(|claim| self.lock_blocker(claim, worker, &reserved.locks));
        if let Some(blocker) = locks.next() {
            return Some(blocker);
        }
        let keeper = reserved.keeper(worker, &builder.resources)?;
        let request = self.durable.request(keeper)?.name.clone();
        Some(Blocker::KeptFor { worker: worker.clone(), request })
    }

    fn worker_blocker(&self, name: &Name) -> Blocker {
        let by = self.occupants(name);
        let worker = name.clone();
        match self.readiness(name) {
            Some(Readiness::Draining) => {
                let left = u32::try_from(by.len()).unwrap_or(u32::MAX);
                Blocker::WorkerDraining { worker, left }
            }
            Some(Readiness::Ready) | None => Blocker::WorkerFull {
                worker,
                places: self.capacity(name),
                by,
                kept: self.kept_places(name),
            },
        }
    }

    /// Returns how many places of a worker belong to commands that were given up.
    pub fn kept_places(&self, worker: &Name) -> u32 {
        let commands = self.durable.commands();
        let kept = commands.filter(|row| row.worker == *worker && row.half.is_unaccounted());
        u32::try_from(kept.count()).unwrap_or(u32::MAX)
    }

    fn occupants(&self, worker: &Name) -> Vec<RequestName> {
        let builds = self.durable.slots(worker).into_iter().flatten().map(|(_, build)| *build);
        builds.filter_map(|id| self.durable.build(id)).map(|build| build.name.clone()).collect()
    }
}
