//! Cancels requests and tells where they are.

use std::time::Duration;

use attempt::StopOrder;
use config::Name;
use engine::property::{Origins, Phase, Properties, to_json};
use engine::row::{Request, RequestState};
use engine::{Abandoned, Answer, Event, Prioritized, RequestName, StopScope, Stopped};
use proto::message::hello::Refusal;
use proto::message::launch::{
    AbandonedBuild, Cancel, Cancelled, GiveUp, GivenUp, PrioritySet, SetPriority, Stage,
};
use proto::message::question::{
    PropertyLine, RequestLine, RequestWanted, Requests, RequestsWanted,
};
use tokio::time::timeout;

use super::authority::Authority;
use super::session::{Session, refusal};
use crate::core::{Question, absence};

/// A caller's own Ctrl-C may be ignored by the program, as on a terminal.
const INTERRUPT_GRACE_MS: u64 = 24 * 3_600 * 1_000;
/// For the name of whoever stops something.
const PATIENCE: Duration = Duration::from_millis(500);
/// Most requests that have ended in one answer.
const MOST_ENDED: u32 = 500;
const SIGINT: i32 = 2;
const SIGTERM: i32 = StopOrder::ASK.signal;
const SIGKILL: i32 = 9;

pub(super) async fn cancel(
    session: &Session<'_>,
    cancel: Cancel,
) -> anyhow::Result<Result<Cancelled, Refusal>> {
    let name: RequestName = match cancel.request.parse() {
        Ok(name) => name,
        Err(bad) => return Ok(Err(refusal("bad_request", &format!("{bad}"), ""))),
    };
    let row = session.parts.store.request_by_name(&name).await?;
    let Some(row) = row.filter(|row| session.authority.covers(&row.owner)) else {
        return Ok(Err(session.authority.unknown(&name)));
    };
    let order = match cancel.signal {
        0 => StopOrder::ASK,
        SIGINT => StopOrder { signal: SIGINT, grace_ms: INTERRUPT_GRACE_MS },
        1 | SIGTERM => StopOrder { signal: cancel.signal, ..StopOrder::ASK },
        SIGKILL => StopOrder::KILL,
        other => {
            let message = format!("signal {other} does not end a request");
            return Ok(Err(refusal("bad_request", &message, "use 1, 2, 9 or 15")));
        }
    };
    let scope = if cancel.only_queued { StopScope::Queue } else { StopScope::Anywhere };
    let (request, reason) = (row.id, by(session, "stopped", &cancel.reason).await);
    let answer = session
        .parts
        .core
        .ask(move |ticket| Event::StopWanted { ticket, request, reason, order, scope })
        .await?;
    let mut detail = String::new();
    let stage = match answer {
        Answer::Stopped(Stopped::Waiting) => Stage::Queued,
        Answer::Stopped(Stopped::Running | Stopped::Spared) => Stage::Running,
        Answer::Stopped(Stopped::Away { worker, since }) => {
            detail = format!("worker {worker} is {}: it is told when it returns", absence(since));
            Stage::Running
        }
        Answer::Stopped(Stopped::Done) => Stage::Ended,
        Answer::Refused(refused) => {
            return Ok(Err(refusal(refused.code, &refused.message, &refused.hint)));
        }
        Answer::Accepted(_)
        | Answer::EnvWanted(_)
        | Answer::Polled
        | Answer::Prioritized(_)
        | Answer::Reconfigured
        | Answer::GivenUp(_) => Stage::Unknown,
    };
    Ok(Ok(Cancelled { request: name.to_string(), stage, detail }))
}

/// Says who did it. A stop is urgent: where the name is long in coming the principal has to do.
async fn by(session: &Session<'_>, what: &str, reason: &str) -> String {
    let who = match timeout(PATIENCE, session.user()).await {
        Ok(Ok(user)) => &user.name,
        Ok(Err(_)) | Err(_) => &session.principal.name,
    };
    if reason.is_empty() {
        format!("{what} by {who}")
    } else {
        format!("{what} by {who}: {reason}")
    }
}

/// Ends what a worker holds without the worker's word: for administrators, who know whether it
/// can come back.
pub(super) async fn give_up(
    session: &Session<'_>,
    wanted: GiveUp,
) -> anyhow::Result<Result<GivenUp, Refusal>> {
    if let Err(refused) = session.authority.over_all("ask an administrator") {
        return Ok(Err(refused));
    }
    let abandoned = match abandoned(session, &wanted).await? {
        Ok(abandoned) => abandoned,
        Err(refused) => return Ok(Err(refused)),
    };
    let reason = by(session, "given up", &wanted.reason).await;
    let answer =
        session.parts.core.ask(|ticket| Event::GiveUpWanted { ticket, abandoned, reason }).await?;
    let line = |one: engine::GivenUp| AbandonedBuild {
        request: one.request.to_string(),
        remains_on: one.remains_on.map(|worker| worker.to_string()).unwrap_or_default(),
    };
    Ok(match answer {
        Answer::GivenUp(builds) => Ok(GivenUp { builds: builds.into_iter().map(line).collect() }),
        Answer::Refused(refused) => Err(refusal(refused.code, &refused.message, &refused.hint)),
        Answer::Accepted(_)
        | Answer::EnvWanted(_)
        | Answer::Polled
        | Answer::Prioritized(_)
        | Answer::Reconfigured
        | Answer::Stopped(_) => Err(another_question()),
    })
}

fn another_question() -> Refusal {
    refusal("bug", "the engine answered another question", "")
}

/// Moves a request in its line: for administrators, who know what others wait for.
pub(super) async fn set_priority(
    session: &Session<'_>,
    wanted: SetPriority,
) -> anyhow::Result<Result<PrioritySet, Refusal>> {
    if let Err(refused) = session.authority.over_all("ask an administrator") {
        return Ok(Err(refused));
    }
    let SetPriority { request, priority } = wanted;
    if !engine::priority::is_valid(priority) {
        let message = format!("{priority} is no priority");
        let hint = format!("give a number from -{0} to {0}", engine::priority::MOST);
        return Ok(Err(refusal("bad_request", &message, &hint)));
    }
    let name: RequestName = match request.parse() {
        Ok(name) => name,
        Err(bad) => return Ok(Err(refusal("bad_request", &format!("{bad}"), ""))),
    };
    let row = session.parts.store.request_by_name(&name).await?;
    let Some(row) = row else { return Ok(Err(session.authority.unknown(&name))) };
    let request = row.id;
    let ask = move |ticket| Event::PriorityWanted { ticket, request, priority };
    let (stage, detail) = match session.parts.core.ask(ask).await? {
        Answer::Prioritized(prioritized) => told(prioritized),
        Answer::Refused(refused) => {
            return Ok(Err(refusal(refused.code, &refused.message, &refused.hint)));
        }
        Answer::Accepted(_)
        | Answer::EnvWanted(_)
        | Answer::Polled
        | Answer::Reconfigured
        | Answer::Stopped(_)
        | Answer::GivenUp(_) => return Ok(Err(another_question())),
    };
    Ok(Ok(PrioritySet { request: name.to_string(), stage, detail }))
}

fn told(prioritized: Prioritized) -> (Stage, String) {
    match prioritized {
        Prioritized::Waiting => (Stage::Queued, String::new()),
        Prioritized::Merged { into } => {
            (Stage::Queued, format!("is merged into {into}, whose priority counts"))
        }
        Prioritized::Running => (Stage::Running, "runs already".to_owned()),
        Prioritized::Done => (Stage::Ended, "has ended".to_owned()),
    }
}

async fn abandoned(
    session: &Session<'_>,
    wanted: &GiveUp,
) -> anyhow::Result<Result<Abandoned, Refusal>> {
    if !wanted.worker.is_empty() {
        let worker = Name::parse(&wanted.worker);
        return Ok(worker
            .map(Abandoned::Worker)
            .map_err(|bad| refusal("bad_request", &format!("{bad}"), "see: master status")));
    }
    let name: RequestName = match wanted.request.parse() {
        Ok(name) => name,
        Err(bad) => return Ok(Err(refusal("bad_request", &format!("{bad}"), ""))),
    };
    let row = session.parts.store.request_by_name(&name).await?;
    Ok(row.map(|row| Abandoned::Request(row.id)).ok_or_else(|| session.authority.unknown(&name)))
}

pub(super) async fn line(
    session: &Session<'_>,
    wanted: RequestWanted,
) -> anyhow::Result<Result<RequestLine, Refusal>> {
    let name: RequestName = match wanted.request.parse() {
        Ok(name) => name,
        Err(bad) => return Ok(Err(refusal("bad_request", &format!("{bad}"), ""))),
    };
    let row = session.parts.store.request_by_name(&name).await?;
    let Some(row) = row.filter(|row| session.authority.covers(&row.owner)) else {
        return Ok(Err(session.authority.unknown(&name)));
    };
    let request = name.clone();
    let trail = session.parts.core.question(|reply| Question::Trail { request, reply }).await?;
    let ended = (Stage::Ended, 0, String::new());
    let (stage, place, detail) = trail.map_or(ended, |trail| trail.stage.tell());
    // It may have ended between the two questions; the row is read again then.
    let row = match stage {
        Stage::Ended => session.parts.store.request_by_name(&name).await?.unwrap_or(row),
        Stage::Queued | Stage::Running | Stage::Unknown => row,
    };
    let living = RequestLine {
        request: name.to_string(),
        owner: row.owner.clone(),
        stage,
        result: String::new(),
        exit_code: None,
        detail,
        place,
        submitted_us: row.submitted_us,
        started_us: None,
        ended_us: None,
        properties: Vec::new(),
        properties_left_out: 0,
    };
    let line = ended_line(&row).unwrap_or(living);
    Ok(Ok(with_properties(line, known(session, &row).await?)))
}

/// Returns the properties of a request's build, if it has one.
async fn known(session: &Session<'_>, request: &Request) -> anyhow::Result<Properties> {
    let build = session.parts.store.build_by_name(&request.name, None).await?;
    let change = session.parts.store.change_by_id(request.change).await?;
    let (Some(build), Some(change)) = (build, change) else { return Ok(Properties::new()) };
    Ok(Origins { change: &change, request, phase: Phase::Build(&build) }.all())
}

/// Most properties in an answer, in bytes: with all else it has to fit a frame.
const MOST_PROPERTY_BYTES: usize = 512 * 1024;

fn with_properties(line: RequestLine, properties: Properties) -> RequestLine {
    let mut bytes = 0;
    let lines = properties.into_iter().map(|(name, property)| PropertyLine {
        name,
        value: to_json(&property.value).to_string(),
        source: property.source.to_string(),
    });
    let (fit, rest): (Vec<_>, Vec<_>) = lines.partition(|line| {
        bytes += line.name.len() + line.value.len() + line.source.len();
        bytes <= MOST_PROPERTY_BYTES
    });
    let properties_left_out = u32::try_from(rest.len()).unwrap_or(u32::MAX);
    RequestLine { properties: fit, properties_left_out, ..line }
}

/// Tells how a request ended, if it has.
fn ended_line(row: &Request) -> Option<RequestLine> {
    let RequestState::Done { result, reason, exit_code, ended_us } = &row.state else {
        return None;
    };
    Some(RequestLine {
        request: row.name.to_string(),
        owner: row.owner.clone(),
        stage: Stage::Ended,
        result: result.word().to_owned(),
        exit_code: Some(*exit_code),
        detail: reason.clone(),
        place: 0,
        submitted_us: row.submitted_us,
        started_us: None,
        ended_us: Some(*ended_us),
        properties: Vec::new(),
        properties_left_out: 0,
    })
}

/// Lists a caller's own requests: the living ones, then those that ended last.
pub(super) async fn lines(
    session: &Session<'_>,
    wanted: RequestsWanted,
) -> anyhow::Result<Result<Requests, Refusal>> {
    let Authority::Own { principal } = &session.authority else {
        let hint = "use `master queue` and `master builds`";
        return Ok(Err(refusal("not_allowed", "this lists the requests of one caller", hint)));
    };
    let owner = principal.clone();
    let ask = |reply| Question::RequestsOf { owner, reply };
    let mut living = session.parts.core.question(ask).await?;
    // Asked second, so that what ends meanwhile is missing in neither.
    let ended = session.parts.store.request_ended(principal, wanted.ended.min(MOST_ENDED)).await?;
    let ended: Vec<RequestLine> = ended.iter().filter_map(ended_line).collect();
    living.requests.retain(|line| ended.iter().all(|other| other.request != line.request));
    living.requests.extend(ended);
    Ok(Ok(living))
}
