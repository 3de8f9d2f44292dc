//! Answers questions from the committed state.

use std::collections::BTreeSet;

use engine::row::{Request, RequestState};
use engine::{Absence, Engine, Standing};
use proto::message::question::{QueueLine, Reason, RequestLine, Requests, Why, WorkerLine};

use super::handle::Overview;
use super::trail::{describe, stage_of};
use super::waited;
use crate::utc::utc;

/// Lists what waits, everybody's or of one owner, in the order of service per builder.
pub(super) fn queue(engine: &Engine, owner: Option<&str>) -> Vec<QueueLine> {
    let is_listed = |request: &&Request| {
        matches!(request.state, RequestState::Waiting | RequestState::Merged { .. })
            && owner.is_none_or(|owner| request.owner == owner)
    };
    let waiting = engine.durable().requests().filter(is_listed);
    let line = |request: &Request| {
        let (place, blocked_by) = match engine.standing(request.id)? {
            Standing::Waiting { place, blockers } => {
                (place, blockers.iter().map(describe).collect::<Vec<_>>().join("; "))
            }
            Standing::Merged { into, .. } => (0, format!("merged into {into}")),
            Standing::Running { .. } => return None,
        };
        Some(QueueLine {
            request: request.name.to_string(),
            place,
            owner: request.owner.clone(),
            priority: request.priority,
            submitted_us: request.submitted_us,
            blocked_by,
        })
    };
    waiting.take(MOST_LINES).filter_map(line).collect()
}

/// Lists what lives of an owner's requests, oldest first.
pub(super) fn requests_of(engine: &Engine, owner: &str) -> Requests {
    let own: Vec<&Request> =
        engine.durable().requests().filter(|request| request.owner == owner).collect();
    let requests = own.iter().take(MOST_LINES).filter_map(|request| request_line(engine, request));
    let left_out = own.len().saturating_sub(MOST_LINES);
    Requests { requests: requests.collect(), left_out: u32::try_from(left_out).unwrap_or(u32::MAX) }
}

fn request_line(engine: &Engine, request: &Request) -> Option<RequestLine> {
    let (stage, place, detail) = stage_of(engine, request.id)?.tell();
    let started_us = match request.state {
        RequestState::Running { build } => engine.durable().build(build).map(|b| b.started_us),
        RequestState::Waiting | RequestState::Merged { .. } | RequestState::Done { .. } => None,
    };
    Some(RequestLine {
        request: request.name.to_string(),
        owner: request.owner.clone(),
        stage,
        result: String::new(),
        exit_code: None,
        detail,
        place,
        submitted_us: request.submitted_us,
        started_us,
        ended_us: None,
        properties: Vec::new(),
        properties_left_out: 0,
    })
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
            let mut reasons: Vec<Reason> = blockers.iter().map(unmet).collect();
            reasons.extend(waited::reasons(request, crate::clock::wall_us()));
            ("has not started because:".to_owned(), reasons)
        }
        Standing::Merged { into, .. } => {
            let what = "queue".to_owned();
            let detail = format!("it ends as {into} does; see: master why {into}");
            (format!("was merged into {into}:"), vec![Reason { is_met: false, what, detail }])
        }
        Standing::Running { build, worker, step, away, is_stopped, wait } => {
            let step = step.map(|step| format!(", in step {step}")).unwrap_or_default();
            let waits = wait
                .as_ref()
                .map(|wait| format!(", and step {} waits since {}", wait.step, utc(wait.since_us)));
            let headline = format!("runs on {worker}{step}{}", waits.unwrap_or_default());
            let what = format!("worker {worker}");
            let detail = match away {
                None => "connected".to_owned(),
                Some(since) if is_stopped => {
                    format!("{}; it will be told to end the build when it returns", absence(since))
                }
                Some(since) => absence(since),
            };
            let mut reasons = vec![Reason { is_met: away.is_none(), what, detail }];
            let blockers = wait.map(|wait| wait.blockers).unwrap_or_default();
            reasons.extend(blockers.iter().map(|blocker| Reason {
                is_met: false,
                what: kind(blocker).to_owned(),
                detail: describe(blocker),
            }));
            if away.is_some() {
                reasons.push(Reason {
                    is_met: false,
                    what: "to end it now".to_owned(),
                    detail: format!("master stop {name} --give-up"),
                });
            }
            let started = engine.durable().build(build).map(|build| build.started_us);
            reasons.extend(started.into_iter().flat_map(|us| waited::reasons(request, us)));
            (headline, reasons)
        }
    };
    Some(Why { request: name.to_string(), headline, reasons })
}

/// Says since when a worker is away.
pub(crate) fn absence(since: Absence) -> String {
    match since {
        Absence::Since(us) => format!("not connected since {}", utc(us)),
        Absence::SinceStart(us) => {
            format!("not connected since the master started at {}, or longer", utc(us))
        }
    }
}

fn kind(blocker: &engine::Blocker) -> &'static str {
    match blocker {
        engine::Blocker::BuilderUnknown { .. } => "builder",
        engine::Blocker::NoWorkerAttached { .. }
        | engine::Blocker::WorkerDraining { .. }
        | engine::Blocker::WorkerFull { .. }
        | engine::Blocker::WorkerEnding { .. }
        | engine::Blocker::Unfit { .. }
        | engine::Blocker::Lacks { .. }
        | engine::Blocker::KeptFor { .. } => "worker",
        engine::Blocker::LockHeld { .. } | engine::Blocker::LockKept { .. } => "lock",
        engine::Blocker::Behind { .. } => "queue",
    }
}

/// Counts requests and workers.
pub(super) fn overview(engine: &Engine, disowned: usize) -> Overview {
    let mut overview = Overview {
        revision: engine.settings().revision,
        disowned: disowned as u64,
        ..Overview::default()
    };
    for request in engine.durable().requests() {
        match request.state {
            RequestState::Waiting | RequestState::Merged { .. } => overview.waiting += 1,
            RequestState::Running { .. } => overview.running += 1,
            RequestState::Done { .. } => {}
        }
    }
    let mut names: BTreeSet<_> =
        engine.settings().workers.values().flat_map(|group| group.names.iter().cloned()).collect();
    // One that was taken from the configuration is there until it has finished.
    names.extend(engine.durable().builds().map(|build| build.worker.clone()));
    overview.workers = names.iter().map(|name| worker_line(engine, name)).collect();
    overview
}

fn worker_line(engine: &Engine, name: &config::Name) -> WorkerLine {
    let attached = engine.attached(name);
    let mut builds: Vec<String> = engine
        .durable()
        .builds()
        .filter(|build| build.worker == *name)
        .map(|build| build.name.to_string())
        .collect();
    let busy = u32::try_from(builds.len()).unwrap_or(u32::MAX);
    match engine.kept_places(name) {
        0 => {}
        kept => builds.push(format!("{kept} given up, may still run")),
    }
    if !engine.settings().knows_worker(name) {
        builds.push("no longer in the configuration".to_owned());
    }
    WorkerLine {
        name: name.to_string(),
        is_attached: attached.is_some(),
        is_draining: engine.readiness(name) == Some(engine::Readiness::Draining),
        busy,
        max_builds: attached.map_or(0, |(_, capacity)| capacity),
        detail: builds.join(", "),
    }
}
