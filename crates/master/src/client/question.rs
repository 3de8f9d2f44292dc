//! Answers lists, `why` and `status`.

use attempt::Outcome;
use engine::RequestName;
use engine::row::{Build, RequestState, StepProgress, StepState};
use engine::step::Step;
use proto::message::hello::Refusal;
use proto::message::question::{
    BuildLine, Builds, BuildsWanted, Locks, Queue, Reason, Status, StepLine, Why, WhyWanted,
};

use super::authority::Authority;
use super::session::{Session, refusal};
use crate::core::{Question, waited};
use crate::duration::duration;

/// Most builds in one answer.
const MOST_BUILDS: u32 = 500;

pub(super) async fn builds(
    session: &Session<'_>,
    wanted: BuildsWanted,
) -> anyhow::Result<Result<Builds, Refusal>> {
    if let Err(refused) = session.authority.over_all("use `master builds`") {
        return Ok(Err(refused));
    }
    let builder = (!wanted.builder.is_empty()).then_some(wanted.builder.as_str());
    let limit = wanted.limit.clamp(1, MOST_BUILDS);
    let rows = session.parts.store.build_list(builder, None, limit).await?;
    Ok(Ok(Builds { builds: rows.iter().map(build_line).collect() }))
}

fn build_line(build: &Build) -> BuildLine {
    let steps = build.plan.steps.iter().zip(&build.steps);
    BuildLine {
        build: build.name.to_string(),
        worker: build.worker.to_string(),
        result: build.end.map(|(result, _)| result.word().to_owned()).unwrap_or_default(),
        reason: build.stop_reason.clone().unwrap_or_default(),
        started_us: build.started_us,
        ended_us: build.end.map(|(_, ended_us)| ended_us),
        steps: steps.map(|(step, progress)| step_line(step, progress)).collect(),
    }
}

fn step_line(step: &Step, progress: &StepProgress) -> StepLine {
    let outcome = Outcome::from_words(&progress.detail);
    StepLine {
        name: step.name.to_string(),
        result: match progress.state {
            StepState::Done { result, .. } => result.word().to_owned(),
            StepState::Waiting | StepState::Blocked { .. } | StepState::Running => String::new(),
        },
        detail: progress.detail.clone(),
        exit_code: match outcome {
            Some(Outcome::Exited(code)) => Some(code),
            Some(_) | None => None,
        },
        signal: match outcome {
            Some(Outcome::Signal(number)) => Some(number),
            Some(_) | None => None,
        },
        locks_us: progress.locks_us,
        started_us: progress.started_us,
        ended_us: progress.ended_us,
    }
}

pub(super) async fn queue(session: &Session<'_>) -> anyhow::Result<Queue> {
    let owner = match &session.authority {
        Authority::All => None,
        Authority::Own { principal } => Some(principal.clone()),
    };
    let ask = |reply| Question::Queue { owner, reply };
    Ok(Queue { requests: session.parts.core.question(ask).await? })
}

pub(super) async fn why(
    session: &Session<'_>,
    wanted: WhyWanted,
) -> anyhow::Result<Result<Why, Refusal>> {
    let name: RequestName = match wanted.request.parse() {
        Ok(name) => name,
        Err(bad) => return Ok(Err(refusal("bad_request", &format!("{bad}"), ""))),
    };
    let row = session.parts.store.request_by_name(&name).await?;
    let Some(row) = row.filter(|row| session.authority.covers(&row.owner)) else {
        return Ok(Err(session.authority.unknown(&name)));
    };
    let request = name.clone();
    let living = session.parts.core.question(|reply| Question::Why { request, reply }).await?;
    if let Some(why) = living {
        return Ok(Ok(why));
    }
    let row = session.parts.store.request_by_name(&name).await?.unwrap_or(row);
    let headline = match &row.state {
        RequestState::Done { result, reason, .. } if reason.is_empty() => {
            format!("ended: {result}")
        }
        RequestState::Done { result, reason, .. } => format!("ended: {result}, {reason}"),
        RequestState::Waiting | RequestState::Merged { .. } | RequestState::Running { .. } => {
            "is just changing".to_owned()
        }
    };
    let build = session.parts.store.build_by_name(&name, None).await?;
    let started_us = build.as_ref().map(|build| build.started_us);
    let ended_us = match row.state {
        RequestState::Done { ended_us, .. } => Some(ended_us),
        RequestState::Waiting | RequestState::Merged { .. } | RequestState::Running { .. } => None,
    };
    let until_us = started_us.or(ended_us).unwrap_or(row.submitted_us);
    let mut reasons = waited::reasons(&row, until_us);
    let steps = build.map(|build| build_line(&build).steps).unwrap_or_default();
    reasons.extend(steps.iter().map(step_reason));
    Ok(Ok(Why { request: name.to_string(), headline, reasons }))
}

fn step_reason(step: &StepLine) -> Reason {
    let waited = match step.locks_us {
        0 => String::new(),
        us => format!(", after {} for its locks", duration(us)),
    };
    Reason {
        is_met: step.result == "SUCCESS",
        what: format!("step {}", step.name),
        detail: format!("{} {}{waited}", step.result, step.detail).trim().to_owned(),
    }
}

pub(super) async fn locks(session: &Session<'_>) -> anyhow::Result<Result<Locks, Refusal>> {
    if let Err(refused) = session.authority.over_all("use `master locks`") {
        return Ok(Err(refused));
    }
    let locks = session.parts.core.question(|reply| Question::Locks { reply }).await?;
    Ok(Ok(Locks { locks }))
}

pub(super) async fn status(session: &Session<'_>) -> anyhow::Result<Result<Status, Refusal>> {
    if let Err(refused) = session.authority.over_all("use `master status`") {
        return Ok(Err(refused));
    }
    let overview = session.parts.core.question(|reply| Question::Status { reply }).await?;
    let parts = session.parts;
    Ok(Ok(Status {
        master: parts.master.clone(),
        version: proto::VERSION.to_owned(),
        epoch: parts.epoch,
        revision: overview.revision,
        started_us: parts.started_us,
        waiting: overview.waiting,
        running: overview.running,
        disowned: overview.disowned,
        workers: overview.workers,
        sources: parts.sources.lines(),
    }))
}
