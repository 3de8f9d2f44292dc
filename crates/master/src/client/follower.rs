//! Follows a request: its progress and its output from a place on, to its end.
//!
//! A follower holds no output. It reads the log at its own pace, so a slow client costs nobody
//! anything, and a client that comes back names its place. What it knows of the request holds until
//! the request changes or a log comes or goes: reading on asks neither the engine nor the store.

#[cfg(test)]
mod tests;

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
use crate::log::LogReader;

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
    /// Logs that come and go.
    stirs: watch::Receiver<()>,
    /// As last looked up; none where that may no longer be so.
    known: Option<Found>,
    told: Option<(Stage, u32, String)>,
    /// The log being read, with its part and, once known, its end.
    open: Option<(Part, LogReader)>,
}

/// Where a request is, wherever that is known.
#[derive(Debug)]
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
        let stirs = parts.shelf.stirs();
        let (known, told, open) = (None, None, None);
        Ok(Ok(Self { id, name, purpose, position, changes, stirs, known, told, open }))
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
            let found = self.look(parts).await?;
            let step = self.step(parts, &found).await?;
            self.known = Some(found);
            match step {
                Some(step) => return Ok(step),
                None => self.wait(parts).await,
            }
        }
    }

    /// Returns what is known of the request, looking it up where that may have changed.
    async fn look(&mut self, parts: &ListenerParts) -> anyhow::Result<Found> {
        if let Some(known) = self.known.take()
            && !self.changes.has_changed().unwrap_or(true)
        {
            return Ok(known);
        }
        // Before it is looked up: what happens meanwhile is a reason to look again.
        self.changes.mark_unchanged();
        self.stirs.mark_unchanged();
        self.find(parts).await
    }

    async fn step(&mut self, parts: &ListenerParts, found: &Found) -> anyhow::Result<Option<Step>> {
        if let Some(progress) = self.progress(found) {
            return Ok(Some(Step::Progress(progress)));
        }
        if let Some(output) = self.output(parts, found).await? {
            return Ok(Some(Step::Output(output)));
        }
        Ok(self.end(found))
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
                // Nobody waits for more of it than there is.
                State::GivenUp | State::LogGivenUp { .. } => {
                    Some(parts.shelf.position(command.id())?)
                }
                State::Assigned { .. } | State::Running { .. } | State::Doubtful { .. } => None,
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
    async fn output(
        &mut self,
        parts: &ListenerParts,
        found: &Found,
    ) -> anyhow::Result<Option<Output>> {
        let list = match found {
            Found::Living(trail) => &trail.parts,
            Found::Past { parts, .. } => parts,
        };
        while let Some(part) = list.iter().find(|part| part.part == self.position.part) {
            let is_read = part.end_bytes.is_some_and(|end| self.position.offset >= end);
            if self.wants(part) && !is_read {
                let reader = self.reader(parts, part).await?;
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

    /// Opens a part's log, once: a living one may have to be read, the index of a sealed one is
    /// decoded each time.
    async fn reader(&self, parts: &ListenerParts, part: &Part) -> anyhow::Result<LogReader> {
        match &self.open {
            Some((open, reader @ (LogReader::Live(_) | LogReader::Sealed(_))))
                if open.command == part.command =>
            {
                Ok(reader.clone())
            }
            Some(_) | None => {
                let (shelf, command) = (parts.shelf.clone(), part.command);
                let opened = threads::blocking(move || shelf.reader(command)).await;
                Ok(opened.context("open a log")??)
            }
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
                RequestState::Waiting
                | RequestState::Merged { .. }
                | RequestState::Running { .. } => None,
            },
        }
    }

    fn has_more(&self, parts: &[Part]) -> bool {
        parts.iter().any(|part| part.part >= self.position.part)
    }

    /// Waits until the request changes, or the open log grows, comes or goes.
    async fn wait(&mut self, parts: &ListenerParts) {
        let (open, offset) = (self.open.as_ref(), self.position.offset);
        // All branches are cancel-safe: what is known is dropped where it may have changed.
        let is_known = tokio::select! {
            changed = self.changes.changed() => {
                if changed.is_err() {
                    // The loop forgets watchers of requests that ended; the store knows the end.
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                false
            }
            () = growth(open, offset) => true,
            () = retirement(open) => {
                self.open = None;
                false
            }
            () = coming(parts, open, &mut self.stirs) => false,
        };
        if !is_known {
            self.known = None;
        }
    }
}

type Open = (Part, LogReader);

/// Waits until a living log is longer.
async fn growth(open: Option<&Open>, offset: u64) {
    match open {
        Some((_, LogReader::Live(log))) => {
            // The log is held, so it does not end before it grows.
            drop(log.watch().wait_for(|length| *length > offset).await);
        }
        Some((_, LogReader::Absent | LogReader::Sealed(_))) | None => std::future::pending().await,
    }
}

/// Waits until the sealed form has taken the place of a living log: only it says where the log ends
/// whose rest was lost.
async fn retirement(open: Option<&Open>) {
    match open {
        Some((_, LogReader::Live(log))) => log.retired().await,
        Some((_, LogReader::Absent | LogReader::Sealed(_))) | None => std::future::pending().await,
    }
}

/// Waits until there is a log where there was none. Where its command has ended, the next thing
/// to happen to it may be that nothing came.
async fn coming(parts: &ListenerParts, open: Option<&Open>, stirs: &mut watch::Receiver<()>) {
    let Some((part, LogReader::Absent)) = open else { return std::future::pending().await };
    while stirs.changed().await.is_ok() {
        if part.end_bytes.is_some() || parts.shelf.is_live(part.command) {
            return;
        }
    }
}
