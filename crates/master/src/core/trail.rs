//! What a follower needs to know of a request: its stage and the commands of its build.

use attempt::CommandId;
use attempt::master::State;
use engine::row::RequestState;
use engine::{Blocker, Engine, RequestId, RequestName, Standing};
use proto::message::launch::Stage;

/// A request with its build's commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    pub id: RequestId,
    pub name: RequestName,
    pub owner: String,
    pub stage: TrailStage,
    /// By their place in the output. Sealed ones are missing here and found in the store.
    pub parts: Vec<Part>,
}

/// Where the request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrailStage {
    Waiting { place: u32, detail: String },
    Running { build: engine::BuildId, detail: String },
}

impl TrailStage {
    /// Tells it as clients are told: the stage, the place of one that waits, and a sentence.
    pub fn tell(&self) -> (Stage, u32, String) {
        match self {
            Self::Waiting { place, detail } if detail.is_empty() => {
                (Stage::Queued, *place, format!("place {place}"))
            }
            Self::Waiting { place, detail } => {
                (Stage::Queued, *place, format!("place {place}; {detail}"))
            }
            Self::Running { detail, .. } => (Stage::Running, 0, detail.clone()),
        }
    }
}

/// One command of the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub part: u32,
    pub command: CommandId,
    /// Index of its step in the plan.
    pub step: u32,
    /// Length of its log, once that is known.
    pub end_bytes: Option<u64>,
}

/// Describes a living request.
pub(super) fn of(engine: &Engine, name: &RequestName) -> Option<Trail> {
    let request = engine.durable().request_named(name)?;
    let stage = stage_of(engine, request.id)?;
    let RequestState::Running { build } = request.state else {
        return Some(trail(request, stage, Vec::new()));
    };
    let commands = engine.durable().commands().filter(|command| command.build == build);
    let parts = commands.map(|command| Part {
        part: command.part,
        command: command.id(),
        step: command.step,
        end_bytes: match command.half.state {
            State::Ended { log_bytes, .. } => Some(log_bytes),
            State::Assigned { .. }
            | State::Running { .. }
            | State::Doubtful { .. }
            | State::GivenUp
            | State::LogGivenUp { .. }
            | State::Sealed { .. } => None,
        },
    });
    Some(trail(request, stage, parts.collect()))
}

/// Says where a living request is.
pub(super) fn stage_of(engine: &Engine, id: RequestId) -> Option<TrailStage> {
    tell(engine.standing(id)?)
}

fn tell(standing: Standing) -> Option<TrailStage> {
    Some(match standing {
        Standing::Merged { into, standing } => match tell(*standing)? {
            TrailStage::Waiting { place, detail } => {
                let detail = if detail.is_empty() { detail } else { format!("; {detail}") };
                TrailStage::Waiting { place, detail: format!("merged into {into}{detail}") }
            }
            TrailStage::Running { build, detail } => {
                TrailStage::Running { build, detail: format!("merged into {into}, {detail}") }
            }
        },
        Standing::Waiting { place, blockers } => {
            // The place says already how many are served before.
            let others =
                blockers.iter().filter(|blocker| !matches!(blocker, Blocker::Behind { .. }));
            let detail = others.map(describe).collect::<Vec<_>>().join("; ");
            TrailStage::Waiting { place, detail }
        }
        Standing::Running { build, worker, away, wait: Some(wait), .. } => {
            let away = if away.is_none() { "" } else { " (not connected at the moment)" };
            let blockers = wait.blockers.iter().map(describe).collect::<Vec<_>>().join("; ");
            let detail = format!("on {worker}{away}, step {} waits: {blockers}", wait.step);
            TrailStage::Running { build, detail }
        }
        Standing::Running { build, worker, away, step, .. } => {
            let away = if away.is_none() { "" } else { " (not connected at the moment)" };
            let step = step.map(|step| format!(", step {step}")).unwrap_or_default();
            TrailStage::Running { build, detail: format!("on {worker}{away}{step}") }
        }
    })
}

fn trail(request: &engine::row::Request, stage: TrailStage, parts: Vec<Part>) -> Trail {
    let (id, name, owner) = (request.id, request.name.clone(), request.owner.clone());
    Trail { id, name, owner, stage, parts }
}

/// Who holds a lock where its build has ended.
const GIVEN_UP: &str = "what was given up and may still run";

fn on(worker: Option<&config::Name>) -> String {
    worker.map(|worker| format!(" of {worker}")).unwrap_or_default()
}

/// Says in words what keeps a request waiting.
pub(super) fn describe(blocker: &Blocker) -> String {
    let names = |names: &[config::Name]| {
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    match blocker {
        Blocker::BuilderUnknown { builder } => {
            format!("the configuration no longer has builder {builder}")
        }
        Blocker::NoWorkerAttached { configured } => {
            format!("none of its workers is connected ({})", names(configured))
        }
        Blocker::WorkerDraining { worker, left } => {
            format!("worker {worker} is draining ({left} builds left) and takes no other build")
        }
        Blocker::WorkerFull { worker, places, by, kept } => {
            let mut by: Vec<String> = by.iter().map(ToString::to_string).collect();
            if *kept > 0 {
                by.push(format!("{kept} given up, being ended there"));
            }
            let by = by.join(", ");
            format!("worker {worker} is full ({places} of {places}: {by})")
        }
        Blocker::WorkerEnding { worker } => {
            format!("worker {worker} first ends commands that are not known here any more")
        }
        Blocker::Unfit { worker, unmet } => format!("worker {worker}: {unmet}"),
        Blocker::Lacks { worker, lack } => format!("worker {worker}: {lack}"),
        Blocker::KeptFor { worker, request } => {
            format!("worker {worker} is kept for {request}, which needs more of it")
        }
        Blocker::LockHeld { lock, worker, by } => {
            let by: Vec<String> = by.iter().map(ToString::to_string).collect();
            let by = if by.is_empty() { GIVEN_UP.to_owned() } else { by.join(", ") };
            format!("lock {lock}{} is held by {by}", on(worker.as_ref()))
        }
        Blocker::LockKept { lock, worker, request } => {
            format!("lock {lock}{} is kept for {request}, which came before", on(worker.as_ref()))
        }
        Blocker::Behind { ahead } => format!("{ahead} ahead of it"),
    }
}
