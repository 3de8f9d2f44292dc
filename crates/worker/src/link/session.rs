//! The life of a connection: attach, then orders in, reports and logs out, until it breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use attempt::{CommandId, Stamp, ToMaster};
use failpoint::Act;
use futures_util::StreamExt as _;
use proto::codec::CodecError;
use proto::message::command::{
    Attach, Attached, Availability, BuildsLeft, FinalAck, Finding, LogPosition, Probed, Start, Stop,
};
use proto::message::hello::{Ping, Pong, Refusal};
use proto::message::stream::{StreamCredit, StreamData, StreamOpen};
use proto::{Frame, Message, encode, feature, limits};
use shim::OutputReader;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::ahead::Ahead;
use super::handshake::{Connected, Frames};
use super::run::Links;
use super::streams::{Streams, Turn};
use super::writer::{self, Outbox};
use super::{Link, ToLink, facts, wire};
use crate::daemon::{Event, Hail, Tails, spool_id};
use crate::probes::Findings;
use crate::tasks::blocking;

/// Before a log that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_millis(limits::SILENCE_MS);

/// Runs a connection to its end. Cancelling the token ends it in good order.
pub(super) async fn run(
    connected: Connected,
    links: &Links,
    end: &CancellationToken,
    on_attached: impl FnOnce(),
) -> anyhow::Result<()> {
    let Connected { mut frames, socket, welcome } = connected;
    let close = end.child_token();
    let (outbox, mut writer) = writer::pair(socket);
    let (link, words) = Link::new(close.clone());
    let stamp = Stamp { epoch: welcome.epoch, session: welcome.session };
    let hail = introduce(links, stamp, link).await?;
    let mut session = Session::new(links, stamp, outbox, words, &hail.reports);
    if welcome.features & feature::PROBED != 0 {
        session.findings = Some(links.news());
    }
    failpoint::around(Act::Attach, || session.introduce(&hail, welcome.features))?;
    let outcome = tokio::select! {
        // Dropping either half loses nothing: the next connection begins with everything.
        outcome = session.run(&mut frames, &close, on_attached) => outcome,
        outcome = writer.run() => outcome,
    };
    session.last_words();
    drop(session);
    if outcome.is_ok() {
        writer.finish().await;
    }
    // Where the daemon is gone there is nobody to tell.
    drop(links.daemon.send(Event::Disconnected).await);
    outcome
}

/// Makes the connection known to the daemon, which answers with every command it has.
async fn introduce(links: &Links, stamp: Stamp, link: Link) -> anyhow::Result<Hail> {
    let (reply, answer) = oneshot::channel();
    let event = Event::Welcomed { stamp, link, reply };
    links.daemon.send(event).await.map_err(|_gone| anyhow!("the daemon is stopping"))?;
    let answer = answer.await.context("the daemon is stopping")?;
    answer.with_context(|| format!("leave a master of epoch {}", stamp.epoch))
}

/// What woke the session.
enum Woken {
    Closed,
    Silent,
    Ping,
    Word(Option<ToLink>),
    Frame(Option<Result<Frame, CodecError>>),
    Grown,
    Found,
    Retry,
    Room(OwnedPermit<Vec<u8>>),
}

struct Session<'a> {
    links: &'a Links,
    stamp: Stamp,
    outbox: Outbox,
    words: mpsc::Receiver<ToLink>,
    tails: watch::Receiver<Tails>,
    streams: Streams,
    readers: BTreeMap<u32, OutputReader>,
    ahead: Ahead,
    /// Reported at the beginning; the master has yet to say from where it wants their logs.
    unplaced: BTreeSet<CommandId>,
    is_attached: bool,
    /// What probes find, if the master wants to know.
    findings: Option<watch::Receiver<Findings>>,
    pings: Interval,
    nonce: u64,
    /// When to read again what could not be read.
    retry_at: Option<Instant>,
}

impl<'a> Session<'a> {
    fn new(
        links: &'a Links,
        stamp: Stamp,
        outbox: Outbox,
        words: mpsc::Receiver<ToLink>,
        reports: &[ToMaster],
    ) -> Self {
        let period = Duration::from_millis(limits::PING_MS);
        let mut pings = interval_at(Instant::now() + period, period);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            links,
            stamp,
            outbox,
            words,
            tails: links.tails.clone(),
            streams: Streams::new(),
            readers: BTreeMap::new(),
            ahead: Ahead::default(),
            unplaced: reports.iter().map(|report| report.command).collect(),
            is_attached: false,
            findings: None,
            pings,
            nonce: 0,
            retry_at: None,
        }
    }

    /// Says what this worker is and has. What its commands left goes before.
    fn introduce(&self, hail: &Hail, features: u64) -> anyhow::Result<()> {
        let mut commands: Vec<_> = hail.reports.iter().map(wire::report_to_wire).collect();
        for left in wire::take_left(&mut commands) {
            // An older master would take it for a bad attach, and asked for nothing.
            if features & feature::LEFT_PROPERTIES != 0 {
                self.control(&left)?;
            }
        }
        self.control(&Attach {
            boot_id: shim::boot_id(),
            spool_id: self.links.spool.spool_id().to_owned(),
            max_builds: self.links.max_builds,
            facts: facts::read(self.links.cgroup),
            commands,
            readiness: hail.readiness,
        })
    }

    async fn run(
        &mut self,
        frames: &mut Frames,
        close: &CancellationToken,
        on_attached: impl FnOnce(),
    ) -> anyhow::Result<()> {
        let mut on_attached = Some(on_attached);
        let mut deadline = Instant::now() + SILENCE;
        loop {
            match self.wait(frames, close, deadline).await {
                Woken::Closed | Woken::Word(None) => return Ok(()),
                Woken::Silent if self.is_attached => {
                    bail!("the master was silent for {} ms", limits::SILENCE_MS)
                }
                // A busy master may take its time, but not for ever.
                Woken::Silent => bail!("the master did not answer the attach"),
                Woken::Ping => {
                    self.nonce += 1;
                    self.control(&Ping { nonce: self.nonce })?;
                }
                Woken::Word(Some(word)) => self.word(word)?,
                Woken::Frame(None) => bail!("the master closed the connection"),
                Woken::Frame(Some(frame)) => {
                    self.frame(frame?).await?;
                    if self.is_attached {
                        deadline = Instant::now() + SILENCE;
                        on_attached.take().into_iter().for_each(|tell| tell());
                    }
                }
                Woken::Grown => self.grown(),
                Woken::Found => self.tell_findings()?,
                Woken::Retry => {
                    self.retry_at = None;
                    self.streams.wake();
                }
                Woken::Room(room) => self.send_log(room).await?,
            }
        }
    }

    async fn wait(
        &mut self,
        frames: &mut Frames,
        close: &CancellationToken,
        deadline: Instant,
    ) -> Woken {
        let has_turn = self.streams.has_turn();
        let data = self.outbox.data.clone();
        // All branches are cancel-safe: nothing was taken where another branch won.
        tokio::select! {
            biased;
            () = close.cancelled() => Woken::Closed,
            () = sleep_until(deadline) => Woken::Silent,
            _ = self.pings.tick() => Woken::Ping,
            word = self.words.recv() => Woken::Word(word),
            frame = frames.next() => Woken::Frame(frame),
            Ok(()) = self.tails.changed() => Woken::Grown,
            Ok(()) = found(self.findings.as_mut()), if self.is_attached => Woken::Found,
            () = moment(self.retry_at) => Woken::Retry,
            Ok(room) = data.reserve_owned(), if has_turn => Woken::Room(room),
        }
    }

    /// Puts a frame before all data. A master that lets thousands of them wait does not read.
    fn control<M: Message>(&self, message: &M) -> anyhow::Result<()> {
        let frame = encode(message)?;
        self.outbox.control.try_send(frame).map_err(|_full| anyhow!("the master does not read"))
    }

    fn tell_findings(&mut self) -> anyhow::Result<()> {
        let Some(findings) = &mut self.findings else { return Ok(()) };
        let line = |(name, value): (&config::Name, &String)| Finding {
            name: name.to_string(),
            value: value.clone(),
        };
        let findings = findings.borrow_and_update().iter().map(line).collect();
        self.control(&Probed { findings })
    }

    fn word(&mut self, word: ToLink) -> anyhow::Result<()> {
        match word {
            ToLink::Report(report) => {
                failpoint::around(Act::Report, || self.control(&wire::report_to_wire(&report)))
            }
            ToLink::Stream(command) => self.open(command, 0),
            ToLink::Readiness(readiness) => self.control(&Availability { readiness }),
        }
    }

    /// Hands over what the daemon said before the end.
    fn last_words(&mut self) {
        while let Ok(word) = self.words.try_recv() {
            // A connection that has failed has no use for them.
            drop(self.word(word));
        }
    }

    async fn frame(&mut self, frame: Frame) -> anyhow::Result<()> {
        match frame.kind {
            // Orders may come before the answer to the attach: both are in order of their kind.
            Start::KIND => {
                self.order(Act::TakeStart, Event::Start(Box::new(frame.open()?))).await?;
            }
            Stop::KIND => {
                let stop: Stop = frame.open()?;
                let order = Event::Order(wire::stop_from_wire(&stop));
                self.order(Act::TakeStop, order).await?;
            }
            FinalAck::KIND => {
                let order = Event::Order(wire::final_ack_from_wire(frame.open()?));
                self.order(Act::TakeFinalAck, order).await?;
            }
            BuildsLeft::KIND => {
                let BuildsLeft { builds, .. } = frame.open()?;
                self.tell(Event::BuildsLeft { stamp: self.stamp, builds }).await?;
            }
            Attached::KIND => {
                self.is_attached = true;
                let attached: Attached = frame.open()?;
                failpoint::before(Act::TakeAttached);
                for position in attached.logs {
                    self.place(position)?;
                }
                failpoint::after(Act::TakeAttached);
            }
            StreamCredit::KIND => {
                let credit: StreamCredit = frame.open()?;
                let take = || self.streams.credited(credit.stream, credit.bytes);
                failpoint::around(Act::TakeCredit, take);
            }
            Ping::KIND => {
                let Ping { nonce } = frame.open()?;
                self.control(&Pong { nonce })?;
            }
            Pong::KIND => {}
            Refusal::KIND => bail!("refused: {}", frame.open::<Refusal>()?),
            _ => frame.skip_unknown()?,
        }
        Ok(())
    }

    async fn order(&self, act: Act, order: Event) -> anyhow::Result<()> {
        failpoint::before(act);
        let told = self.tell(order).await;
        failpoint::after(act);
        told
    }

    async fn tell(&self, event: Event) -> anyhow::Result<()> {
        self.links.daemon.send(event).await.map_err(|_gone| anyhow!("the daemon is stopping"))
    }

    /// The master said from where it wants a log.
    fn place(&mut self, position: LogPosition) -> anyhow::Result<()> {
        let command = wire::command_from_wire(position.command);
        if !self.unplaced.remove(&command) {
            return Ok(());
        }
        self.open(command, position.offset)
    }

    fn open(&mut self, command: CommandId, offset: u64) -> anyhow::Result<()> {
        let Some(tail) = self.tails.borrow().get(&command).copied() else { return Ok(()) };
        match tail.end {
            Some(end) if offset > end => {
                warn!(command.id = %command, offset, end, "the master holds more log than there is");
                return Ok(());
            }
            Some(end) if offset == end => return Ok(()),
            Some(_) | None => {}
        }
        let id = self.streams.open(command, offset, tail);
        let stream = id.ok_or_else(|| anyhow!("every stream of this connection was used"))?;
        self.readers.insert(stream, self.links.spool.output(spool_id(command)));
        let open = StreamOpen { stream, command: wire::command_to_wire(command), offset };
        failpoint::around(Act::StreamOpen, || self.control(&open))
    }

    fn grown(&mut self) {
        let tails = self.tails.borrow_and_update();
        let streams: Vec<_> = self.streams.commands().collect();
        for (stream, command) in streams {
            match tails.get(&command) {
                Some(tail) => self.streams.grew(stream, *tail),
                None => self.streams.close(stream),
            }
        }
        drop(tails);
        self.drop_readers();
    }

    /// Fills one frame of data from the stream whose turn it is.
    async fn send_log(&mut self, room: OwnedPermit<Vec<u8>>) -> anyhow::Result<()> {
        let Some(turn) = self.streams.turn() else { return Ok(()) };
        let Some(bytes) = self.read(turn).await else {
            self.streams.rest(turn.stream);
            self.retry_at.get_or_insert_with(|| Instant::now() + RETRY);
            return Ok(());
        };
        self.streams.sent(turn.stream, bytes.len() as u64);
        if bytes.is_empty() && turn.is_due {
            let Turn { command, offset, .. } = turn;
            self.tell(Event::LogTorn { command, log_bytes: offset }).await?;
        } else if !bytes.is_empty() {
            let data = encode(&StreamData { stream: turn.stream, bytes: bytes.into() })?;
            failpoint::around(Act::StreamData, || drop(room.send(data)));
        }
        self.drop_readers();
        Ok(())
    }

    /// Reads a piece of a log; `None` where that is not possible now.
    async fn read(&mut self, turn: Turn) -> Option<Vec<u8>> {
        if let Some(records) = self.ahead.take(turn) {
            return Some(records);
        }
        let mut reader = self.readers.remove(&turn.stream)?;
        let is_alone = self.streams.is_alone(turn.stream);
        let (reader, outcome) = blocking(move || {
            let outcome = Ahead::read(&mut reader, turn, is_alone);
            (reader, outcome)
        })
        .await;
        self.readers.insert(turn.stream, reader);
        match outcome {
            Ok(ahead) => self.ahead = ahead,
            Err(error) => {
                let Turn { command, offset, .. } = turn;
                error!(command.id = %command, offset, "read the log of a command, once more soon: {error}");
                return None;
            }
        }
        Some(self.ahead.take(turn).unwrap_or_default())
    }

    /// Closes the files of streams that are done.
    fn drop_readers(&mut self) {
        if self.readers.len() > self.streams.commands().count() {
            let open: BTreeSet<u32> = self.streams.commands().map(|(id, _)| id).collect();
            self.readers.retain(|id, _| open.contains(id));
        }
    }
}

async fn moment(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits for another finding; for ever where nobody looks for any.
async fn found(
    findings: Option<&mut watch::Receiver<Findings>>,
) -> Result<(), watch::error::RecvError> {
    match findings {
        Some(findings) => findings.changed().await,
        None => std::future::pending().await,
    }
}
