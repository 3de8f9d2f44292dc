//! Answers questions from the committed state.

use engine::row::RequestState;
use engine::{Engine, Standing};
use proto::message::question::{QueueLine, Reason, Why, WorkerLine};

use super::handle::Overview;
use super::trail::describe;

/// Lists everything that waits, in the order of service per builder.
pub(super) fn queue(engine: &Engine) -> Vec<QueueLine> {
    let waiting = engine
        .durable()
        .requests()
        .filter(|request| matches!(request.state, RequestState::Waiting));
    let line = |request: &engine::row::Request| {
        let Some(Standing::Waiting { place, blockers }) = engine.standing(request.id) else {
            return None;
        };
        Some(QueueLine {
            request: request.name.to_string(),
            place,
            owner: request.owner.clone(),
            submitted_us: request.submitted_us,
            blocked_by: blockers.iter().map(describe).collect::<Vec<_>>().join("; "),
        })
    };
    waiting.take(MOST_LINES).filter_map(line).collect()
}

/// A list longer than this helps nobody and would not fit a frame.
const MOST_LINES: usize = 1_000;

/// Says why a living request is where it is.
pub(super) fn why(engine: &Engine, name: &engine::RequestName) -> Option<Why> {
    let request = engine.durable().request_named(name)?;
    let (headline, reasons) = match engine.standing(request.id)? {
        Standing::Waiting { blockers, .. } => {
            let unmet = |blocker| Reason {
                is_met: false,
                what: kind(blocker).to_owned(),
                detail: describe(blocker),
            };
            ("has not started because:".to_owned(), blockers.iter().map(unmet).collect())
        }
        Standing::Running { worker, step, worker_is_attached, .. } => {
            let step = step.map(|step| format!(", in step {step}")).unwrap_or_default();
            let connection = if worker_is_attached { "connected" } else { "not connected" };
            let reason = Reason {
                is_met: worker_is_attached,
                what: format!("worker {worker}"),
                detail: connection.to_owned(),
            };
            (format!("runs on {worker}{step}"), vec![reason])
        }
    };
    Some(Why { request: name.to_string(), headline, reasons })
}

fn kind(blocker: &engine::Blocker) -> &'static str {
    match blocker {
        engine::Blocker::BuilderUnknown { .. } => "builder",
        engine::Blocker::NoWorkerAttached { .. }
        | engine::Blocker::WorkerDraining { .. }
        | engine::Blocker::WorkerFull { .. } => "worker",
        engine::Blocker::Behind { .. } => "queue",
    }
}

/// Counts requests and workers.
pub(super) fn overview(engine: &Engine, disowned: usize) -> Overview {
    let mut overview = Overview { disowned: disowned as u64, ..Overview::default() };
    for request in engine.durable().requests() {
        match request.state {
            RequestState::Waiting => overview.waiting += 1,
            RequestState::Running { .. } => overview.running += 1,
            RequestState::Done { .. } => {}
        }
    }
    let names: std::collections::BTreeSet<_> =
        engine.settings().workers.values().flat_map(|group| group.names.iter().cloned()).collect();
    overview.workers = names.iter().map(|name| worker_line(engine, name)).collect();
    overview
}

fn worker_line(engine: &Engine, name: &config::Name) -> WorkerLine {
    let attached = engine.attached(name);
    let builds: Vec<String> = engine
        .durable()
        .builds()
        .filter(|build| build.worker == *name)
        .map(|build| build.name.to_string())
        .collect();
    WorkerLine {
        name: name.to_string(),
        is_attached: attached.is_some(),
        is_draining: engine.readiness(name) == Some(engine::Readiness::Draining),
        busy: u32::try_from(builds.len()).unwrap_or(u32::MAX),
        max_builds: attached.map_or(0, |(_, capacity)| capacity),
        detail: builds.join(", "),
    }
}
