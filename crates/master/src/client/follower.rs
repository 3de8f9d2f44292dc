//! Follows a request: its progress and its output from a place on, to its end.
//!
//! A follower holds no output. It reads the log at its own pace, so a slow client costs nobody
//! anything, and a client that comes back names its place.

use anyhow::Context as _;
use engine::row::RequestState;
use engine::{Departure, Event, RequestId, RequestName};
use proto::limits;
use proto::message::hello::Refusal;
use proto::message::launch::{Ended, Follow, Output, Position, Progress, Stage};
use proto::message::question::{LogEnded, LogWanted};
use tokio::sync::watch;

use super::authority::Authority;
use super::listener::ListenerParts;
use super::log_range::find_step;
use super::session::refusal;
use crate::core::{Part, Question, Trail, TrailStage};
use crate::log::{LogReader, ShelfError};

/// One thing to tell the client.
#[derive(Debug)]
pub(super) enum Step {
    Progress(Progress),
    Output(Output),
    Ended(Ended),
    LogEnded(LogEnded),
}

/// What the client asked for.
#[derive(Debug)]
enum Purpose {
    /// A launcher follows its own request; it counts as attached.
    Request,
    /// Somebody reads logs: all parts of a build, or one step's.
    Log { step: Option<u32>, follow: bool },
}

/// A client's place in a request's life.
#[derive(Debug)]
pub(super) struct Follower {
    id: RequestId,
    name: RequestName,
    purpose: Purpose,
    position: Position,
    changes: watch::Receiver<u64>,
    told: Option<(Stage, u32, String)>,
    /// The log being read, with its part and, once known, its end.
    open: Option<(Part, LogReader)>,
}

/// Where a request is, wherever that is known.
enum Found {
    Living(Trail),
    Past { state: RequestState, parts: Vec<Part> },
}

type Begun = anyhow::Result<Result<Follower, Refusal>>;

impl Follower {
    /// Begins to follow a request; from here on its caller counts as attached.
    pub(super) async fn start(
        parts: &ListenerParts,
        authority: &Authority,
        follow: &Follow,
    ) -> Begun {
        let begun = Self::begin(parts, authority, &follow.request, Purpose::Request).await?;
        let Ok(mut follower) = begun else { return Ok(begun) };
        follower.position = follow.position;
        parts.core.tell(Event::FollowerCame { request: follower.id }).await?;
        Ok(Ok(follower))
    }

    /// Begins to read the logs of a build.
    pub(super) async fn of_log(
        parts: &ListenerParts,
        authority: &Authority,
        wanted: &LogWanted,
    ) -> Begun {
        let purpose = Purpose::Log { step: None, follow: wanted.follow };
        let begun = Self::begin(parts, authority, &wanted.build, purpose).await?;
        let Ok(mut follower) = begun else { return Ok(begun) };
        if wanted.step.is_empty() {
            return Ok(Ok(follower));
        }
        let build = parts.store.build_by_name(&follower.name, None).await?;
        let steps = build.map(|build| build.plan.steps).unwrap_or_default();
        Ok(find_step(&follower.name, &steps, &wanted.step).map(|step| {
            follower.purpose = Purpose::Log { step: Some(step), follow: wanted.follow };
            follower
        }))
    }

    async fn begin(
        parts: &ListenerParts,
        authority: &Authority,
        request: &str,
        purpose: Purpose,
    ) -> Begun {
        let name: RequestName = match request.parse() {
            Ok(name) => name,
            Err(bad) => return Ok(Err(refusal("bad_request", &format!("{bad}"), ""))),
        };
        let row = parts.store.request_by_name(&name).await?;
        let Some(row) = row.filter(|row| authority.covers(&row.owner)) else {
            return Ok(Err(authority.unknown(&name)));
        };
        let id = row.id;
        let changes = parts.core.question(|reply| Question::Watch { request: id, reply }).await?;
        let position = Position::default();
        Ok(Ok(Self { id, name, purpose, position, changes, told: None, open: None }))
    }

    /// Tells the engine that this client no longer follows.
    pub(super) async fn leave(self, parts: &ListenerParts, departure: Departure) {
        if matches!(self.purpose, Purpose::Request)
            && parts.core.tell(Event::FollowerLeft { request: self.id, departure }).await.is_err()
        {
            tracing::debug!("the master is stopping");
        }
    }

    /// Returns the next thing to tell, waiting until there is one. Cancel-safe: the place moves
    /// only with what is returned.
    pub(super) async fn next(&mut self, parts: &ListenerParts) -> anyhow::Result<Step> {
        loop {
            self.changes.mark_unchanged();
            let found = self.find(parts).await?;
            if let Some(progress) = self.progress(&found) {
                return Ok(Step::Progress(progress));
            }
            if let Some(output) = self.output(parts, &found)? {
                return Ok(Step::Output(output));
            }
            if let Some(end) = self.end(&found) {
                return Ok(end);
            }
            self.wait(parts).await;
        }
    }

    async fn find(&self, parts: &ListenerParts) -> anyhow::Result<Found> {
        let request = self.name.clone();
        let trail = parts.core.question(|reply| Question::Trail { request, reply }).await?;
        if let Some(mut trail) = trail {
            if let TrailStage::Running { build, .. } = trail.stage {
                self.add_sealed(parts, build, &mut trail.parts).await?;
            }
            return Ok(Found::Living(trail));
        }
        let row =
            parts.store.request_by_name(&self.name).await?.context("the request is stored")?;
        let mut list = Vec::new();
        if let Some(build) = parts.store.build_by_name(&self.name, None).await? {
            self.add_sealed(parts, build.id, &mut list).await?;
        }
        Ok(Found::Past { state: row.state, parts: list })
    }

    /// Completes the list of a build's commands with those only the database knows.
    async fn add_sealed(
        &self,
        parts: &ListenerParts,
        build: engine::BuildId,
        list: &mut Vec<Part>,
    ) -> anyhow::Result<()> {
        use attempt::master::State;
        for command in parts.store.commands_of(build).await? {
            if list.iter().any(|part| part.part == command.part) {
                continue;
            }
            let end_bytes = match &command.half.state {
                State::Ended { log_bytes, .. } => Some(*log_bytes),
                State::Sealed { .. } => {
                    let row = parts.store.log_of(command.id()).await?;
                    Some(row.map_or(0, |row| row.record_bytes))
                }
                State::Assigned { .. } | State::Running { .. } => None,
            };
            list.push(Part {
                part: command.part,
                command: command.id(),
                step: command.step,
                end_bytes,
            });
        }
        list.sort_by_key(|part| part.part);
        Ok(())
    }

    fn progress(&mut self, found: &Found) -> Option<Progress> {
        let (stage, place, detail) = match found {
            Found::Living(Trail { stage: TrailStage::Waiting { place, detail }, .. }) => {
                (Stage::Queued, *place, detail.clone())
            }
            Found::Living(Trail { stage: TrailStage::Running { detail, .. }, .. }) => {
                (Stage::Running, 0, detail.clone())
            }
            Found::Past { .. } => return None,
        };
        let now = (stage, place, detail);
        if matches!(self.purpose, Purpose::Log { .. }) || self.told.as_ref() == Some(&now) {
            return None;
        }
        self.told = Some(now.clone());
        let (stage, place, detail) = now;
        Some(Progress { request: self.name.to_string(), stage, place, detail })
    }

    /// Reads on in the log of the present part; moves to the next part at its end.
    fn output(&mut self, parts: &ListenerParts, found: &Found) -> anyhow::Result<Option<Output>> {
        let list = match found {
            Found::Living(trail) => &trail.parts,
            Found::Past { parts, .. } => parts,
        };
        while let Some(part) = list.iter().find(|part| part.part == self.position.part) {
            let is_read = part.end_bytes.is_some_and(|end| self.position.offset >= end);
            if self.wants(part) && !is_read {
                let reader = self.reader(parts, part)?;
                let records = reader.read_at(self.position.offset, limits::STREAM_DATA_BYTES)?;
                self.open = Some((*part, reader));
                if !records.is_empty() {
                    let position = self.position;
                    self.position.offset += records.len() as u64;
                    return Ok(Some(Output { position, records: records.into() }));
                }
            }
            let is_over = part.end_bytes.is_some_and(|end| self.position.offset >= end);
            if !is_over && self.wants(part) {
                return Ok(None);
            }
            if !is_over && part.end_bytes.is_none() {
                return Ok(None);
            }
            self.position = Position { part: self.position.part + 1, offset: 0 };
            self.open = None;
        }
        Ok(None)
    }

    /// Opens a part's log, once: the index of a sealed one is decoded each time.
    fn reader(&self, parts: &ListenerParts, part: &Part) -> Result<LogReader, ShelfError> {
        match &self.open {
            Some((open, reader @ (LogReader::Live(_) | LogReader::Sealed(_))))
                if open.command == part.command =>
            {
                Ok(reader.clone())
            }
            Some(_) | None => parts.shelf.reader(part.command),
        }
    }

    fn wants(&self, part: &Part) -> bool {
        match self.purpose {
            Purpose::Request | Purpose::Log { step: None, .. } => true,
            Purpose::Log { step: Some(step), .. } => part.step == step,
        }
    }

    fn end(&self, found: &Found) -> Option<Step> {
        let build = self.name.to_string();
        match (found, &self.purpose) {
            (_, Purpose::Log { follow: false, .. }) => {
                Some(Step::LogEnded(LogEnded { build, ..LogEnded::default() }))
            }
            (Found::Living(_), Purpose::Request | Purpose::Log { follow: true, .. }) => None,
            (Found::Past { parts, .. }, _) if self.has_more(parts) => None,
            (Found::Past { .. }, Purpose::Log { follow: true, .. }) => {
                Some(Step::LogEnded(LogEnded { build, ..LogEnded::default() }))
            }
            (Found::Past { state, .. }, Purpose::Request) => match state {
                RequestState::Done { result, reason, exit_code, .. } => Some(Step::Ended(Ended {
                    request: build,
                    result: result.word().to_owned(),
                    exit_code: *exit_code,
                    reason: reason.clone(),
                })),
                RequestState::Waiting | RequestState::Running { .. } => None,
            },
        }
    }

    fn has_more(&self, parts: &[Part]) -> bool {
        parts.iter().any(|part| part.part >= self.position.part)
    }

    /// Waits until the request changes or the open log grows.
    async fn wait(&mut self, parts: &ListenerParts) {
        let mut growth = self.open.as_ref().and_then(|(_, reader)| reader.watch());
        let offset = self.position.offset;
        let grown = async {
            match &mut growth {
                Some(length) => length.wait_for(|length| *length > offset).await.is_ok(),
                None => std::future::pending().await,
            }
        };
        let born = async {
            match &self.open {
                Some((part, LogReader::Absent)) => parts.shelf.born(part.command).await,
                Some((_, LogReader::Live(_) | LogReader::Sealed(_))) | None => {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            changed = self.changes.changed() => if changed.is_err() {
                // The loop forgets watchers of requests that ended; the store knows the end.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            },
            _ = grown => {}
            () = born => {}
        }
    }
}
