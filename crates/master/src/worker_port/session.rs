//! One worker's connection: handshake, attach, then reports and log bytes in, orders out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use attempt::{CommandId, Place, Stamp, ToMaster};
use config::Name;
use engine::Event;
use failpoint::Act;
use futures_util::StreamExt as _;
use proto::codec::{self, FrameCodec};
use proto::message::command::{
    Attach, Attached, Availability, LeftProperties, LogPosition, Probed, Report, Start,
};
use proto::message::hello::{Hello, Ping, Pong, Refusal, Role, Welcome};
use proto::message::stream::{StreamCredit, StreamData, StreamOpen};
use proto::{Frame, Message, encode, feature, limits};
use secret::Zeroizing;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::codec::FramedRead;
use tracing::{info, warn};

use super::complete::Completion;
use super::given::Given;
use super::listener::ListenerParts;
use crate::core::{Question, ToSession, WorkerSession};
use crate::gate::{Admission, Prompt};
use crate::log::LiveLog;
use crate::tasks::Tasks;
use crate::wire;

/// Orders that may wait for a worker's connection.
const ORDERS: usize = 4_096;
/// Answers of this session's reader that may wait for its writer.
const REPLIES: usize = 64;
/// A piece of a stream is whole records: this is the largest one.
const MOST_DATA_BYTES: usize = limits::STREAM_DATA_BYTES + proto::record::HEADER_BYTES;
/// Ids of boots and spools are short.
const MOST_ID_BYTES: usize = 128;

type Frames = FramedRead<Prompt<OwnedReadHalf>, FrameCodec>;
type Writer = Prompt<OwnedWriteHalf>;

/// Runs the connection to its end.
pub(super) async fn run(
    socket: TcpStream,
    parts: &Arc<ListenerParts>,
    admission: Admission,
    family: &Tasks,
) -> anyhow::Result<()> {
    socket.set_nodelay(true).context("set TCP_NODELAY")?;
    let (read, write) = socket.into_split();
    let (mut frames, mut write) = (codec::of_stranger(Prompt::new(read)), Prompt::new(write));
    let handshake = handshake(&mut frames, &mut write, parts);
    let ((worker, stamp, features), _taken) = admission.shake_hands(handshake).await?;
    codec::authenticate(&mut frames);
    // In a box: strangers may be many, and need no room for what comes after.
    let guest = Guest { worker, stamp, features };
    Box::pin(serve(frames, write, guest, parts, family)).await
}

/// A worker that has said who it is.
struct Guest {
    worker: Name,
    stamp: Stamp,
    /// What it understands.
    features: u64,
}

/// Serves a worker.
async fn serve(
    mut frames: Frames,
    write: Writer,
    Guest { worker, stamp, features }: Guest,
    parts: &Arc<ListenerParts>,
    family: &Tasks,
) -> anyhow::Result<()> {
    let (replies, outgoing) = mpsc::channel(REPLIES);
    let mut session = Session {
        parts: parts.clone(),
        worker: worker.clone(),
        stamp,
        replies,
        given: Arc::default(),
        disowned: BTreeSet::new(),
        streams: BTreeMap::new(),
        last_stream: 0,
    };
    let orders = session.attach(&mut frames, family).await?;
    let given = session.given.clone();
    let (completion, complete) = Completion::new(
        worker.clone(),
        features,
        parts.admission.clone(),
        parts.core.clone(),
        family.clone(),
    );
    let outcome = tokio::select! {
        // Dropping either half ends the connection; nothing is half-done in the engine.
        outcome = session.read(&mut frames) => outcome,
        outcome = write_out(write, orders, (completion, complete), outgoing, &given) => outcome,
        () = family.cancel().cancelled() => Ok(()),
    };
    let lost = Event::WorkerLost { worker: worker.clone(), stamp };
    let told = parts.core.tell(lost).await;
    info!(worker.name = %worker, "worker {worker} is gone");
    told.context("tell the engine that the worker is gone")?;
    outcome
}

/// Checks the hello and welcomes the worker, or refuses it in so many words.
async fn handshake(
    frames: &mut Frames,
    write: &mut Writer,
    parts: &ListenerParts,
) -> anyhow::Result<(Name, Stamp, u64)> {
    let hello: Hello = next_frame(frames).await?.open()?;
    match judge(&hello, parts).await {
        Ok((version, worker)) => {
            let session = parts.sessions.fetch_add(1, Ordering::Relaxed);
            let welcome = Welcome {
                version,
                features: feature::LEFT_PROPERTIES | feature::PROBED,
                master: parts.master.clone(),
                epoch: parts.epoch,
                session,
                principal: format!("worker:{worker}"),
            };
            failpoint::before(Act::Welcome);
            write.write_all(&encode(&welcome)?).await.context("send the welcome")?;
            failpoint::after(Act::Welcome);
            Ok((worker, Stamp { epoch: parts.epoch, session }, hello.features))
        }
        Err(refusal) => {
            write.write_all(&encode(&refusal)?).await.context("send the refusal")?;
            bail!("refused: {}", refusal.message)
        }
    }
}

async fn judge(hello: &Hello, parts: &ListenerParts) -> Result<(u16, Name), Refusal> {
    let refusal = |code: &str, message: String, hint: &str| Refusal {
        code: code.to_owned(),
        message,
        hint: hint.to_owned(),
    };
    if hello.role != Role::Worker {
        let message = format!("this port is for workers, not for role `{}`", hello.role);
        return Err(refusal("wrong_port", message, "use the change port"));
    }
    let version = hello.common_version().ok_or_else(|| {
        let (lowest, highest) = limits::VERSIONS;
        let message = format!("this master speaks protocol versions {lowest} to {highest}");
        refusal("version", message, "upgrade the older side")
    })?;
    let token = hello.token.as_ref().map(AsRef::as_ref).unwrap_or_default();
    let admission = parts.admission.borrow().clone();
    let Some(worker) = admission.tokens.name_of(token) else {
        let message = "the token is not known".to_owned();
        return Err(refusal(
            "unknown_token",
            message,
            "check the worker's token and the master's token_file",
        ));
    };
    if !admission.settings.knows_worker(worker) && !is_awaited(worker, parts).await {
        let message = format!("worker `{worker}` stands in no [worker.*] of the configuration");
        return Err(refusal("unknown_worker", message, "add its name to a worker's `names`"));
    }
    Ok((version, worker.clone()))
}

/// Says whether a worker that the configuration no longer has still has something of ours.
async fn is_awaited(worker: &Name, parts: &ListenerParts) -> bool {
    let worker = worker.clone();
    let asked = parts.core.question(|reply| Question::IsAwaited { worker, reply }).await;
    asked.unwrap_or(false)
}

/// Reads the attach, with what commands left put back into their reports.
async fn next_attach(frames: &mut Frames) -> anyhow::Result<Attach> {
    let mut left = BTreeMap::new();
    loop {
        let frame = next_frame(frames).await?;
        if frame.kind != LeftProperties::KIND {
            let mut attach: Attach = frame.open()?;
            for Report { command, end, .. } in &mut attach.commands {
                if let Some(end) = end {
                    end.properties = left.remove(command).or(end.properties.take());
                }
            }
            return Ok(attach);
        }
        let LeftProperties { command, properties } = frame.open()?;
        if properties.0.len() > limits::PROPERTIES_BYTES || left.len() >= limits::LEFT_PROPERTIES {
            bail!("the worker says more of what commands left than it may");
        }
        left.insert(command, properties);
    }
}

async fn next_frame(frames: &mut Frames) -> anyhow::Result<Frame> {
    frames
        .next()
        .await
        .ok_or_else(|| anyhow!("the peer closed the connection"))?
        .map_err(Into::into)
}

/// A log stream the worker opened. It must not keep a log alive that was sealed meanwhile: a
/// connection lasts for months, and has a stream for each of its commands.
struct Incoming {
    command: CommandId,
    log: Weak<LiveLog>,
    offset: u64,
}

struct Session {
    parts: Arc<ListenerParts>,
    worker: Name,
    stamp: Stamp,
    replies: mpsc::Sender<Vec<u8>>,
    given: Arc<Given>,
    /// Commands it came with that nobody here knows; they have to end, and it may say so.
    disowned: BTreeSet<CommandId>,
    streams: BTreeMap<u32, Incoming>,
    /// The highest stream that was opened; those below may be done.
    last_stream: u32,
}

impl Session {
    /// Takes the attach, answers with log positions and introduces the connection to the engine.
    async fn attach(
        &mut self,
        frames: &mut Frames,
        family: &Tasks,
    ) -> anyhow::Result<mpsc::Receiver<ToSession>> {
        let mut attach = timeout(Duration::from_millis(limits::HANDSHAKE_MS), next_attach(frames))
            .await
            .map_err(|_late| anyhow!("no attach within {} ms", limits::HANDSHAKE_MS))??;
        check_place(&attach)?;
        let commands = translate(std::mem::take(&mut attach.commands))?;
        self.recall(&commands).await?;
        let logs = self.positions(&commands).await?;
        failpoint::before(Act::Attached);
        self.reply(&Attached { logs }).await?;
        failpoint::after(Act::Attached);
        let (sender, orders) = mpsc::channel(ORDERS);
        let session = WorkerSession {
            worker: self.worker.clone(),
            stamp: self.stamp,
            sender,
            close: family.cancel().clone(),
        };
        let event = Event::WorkerAttached {
            worker: self.worker.clone(),
            stamp: self.stamp,
            place: Place { boot_id: attach.boot_id, spool_id: attach.spool_id },
            max_builds: attach.max_builds,
            commands,
            readiness: wire::readiness_from_wire(attach.readiness),
            facts: wire::facts_from_wire(&attach.facts),
        };
        failpoint::before(Act::AttachTaken);
        self.parts.core.attach(event, session).await?;
        failpoint::after(Act::AttachTaken);
        let facts = attach.facts;
        info!(
            worker.name = %self.worker, version = ?facts.version, host = ?facts.hostname,
            cores = facts.cores, memory_bytes = facts.memory_bytes, cgroup = ?facts.cgroup,
            "worker {} attached", self.worker
        );
        Ok(orders)
    }

    /// Asks what this worker was given before, and looks at what it comes with.
    async fn recall(&mut self, commands: &[ToMaster]) -> anyhow::Result<()> {
        let worker = self.worker.clone();
        let known =
            self.parts.core.question(|reply| Question::CommandsOf { worker, reply }).await?;
        self.given = Arc::new(Given::new(known));
        let ids = commands.iter().map(|report| report.command);
        self.disowned = ids.filter(|id| !self.given.has(*id)).collect();
        if let Some(first) = self.disowned.first() {
            // It may be right: of a command that was settled it need not have heard.
            let count = self.disowned.len();
            info!(
                worker.name = %self.worker, count, first.command = %first,
                "worker {} comes with commands that are not under way here", self.worker
            );
        }
        Ok(())
    }

    /// Tells, with moderation, that a worker says what it should not.
    fn suspect(&self, what: &str, command: CommandId) {
        let worker = &self.worker;
        if let Some(others) = self.parts.misconduct.pass(worker.clone(), Instant::now()) {
            warn!(
                worker.name = %worker, command.id = %command, others,
                "worker {worker} {what} that it was not given; is it what it should be?"
            );
        }
    }

    /// Looks how much of each log is here. After a restart that reads the logs, beside the runtime.
    async fn positions(&self, commands: &[ToMaster]) -> anyhow::Result<Vec<LogPosition>> {
        let known = commands.iter().map(|report| report.command);
        let known: Vec<_> = known.filter(|id| self.given.has(*id)).collect();
        let shelf = self.parts.shelf.clone();
        let look = move |id| {
            let offset = shelf.position(id)?;
            Ok(LogPosition { command: wire::command_to_wire(id), offset })
        };
        let looked = threads::blocking(move || known.into_iter().map(look).collect());
        looked.await.context("measure logs")?
    }

    async fn reply<M: Message>(&self, message: &M) -> anyhow::Result<()> {
        self.replies.send(encode(message)?).await.map_err(|_gone| anyhow!("the writer has ended"))
    }

    /// Reads until the worker goes, is silent for too long or breaks the protocol.
    async fn read(&mut self, frames: &mut Frames) -> anyhow::Result<()> {
        loop {
            let silence = Duration::from_millis(limits::SILENCE_MS);
            let frame = timeout(silence, next_frame(frames))
                .await
                .map_err(|_late| anyhow!("silent for {} ms", limits::SILENCE_MS))??;
            self.frame(frame).await?;
        }
    }

    async fn frame(&mut self, frame: Frame) -> anyhow::Result<()> {
        match frame.kind {
            Report::KIND => self.report(wire::report_from_wire(frame.open()?)?).await?,
            Availability::KIND => {
                let Availability { readiness } = frame.open()?;
                let readiness = wire::readiness_from_wire(readiness);
                info!(worker.name = %self.worker, ?readiness, "worker {} changed", self.worker);
                let (worker, stamp) = (self.worker.clone(), self.stamp);
                self.parts.core.tell(Event::WorkerReadiness { worker, stamp, readiness }).await?;
            }
            Probed::KIND => {
                let probes = wire::findings_from_wire(frame.open()?)?;
                info!(worker.name = %self.worker, ?probes, "probes of {}", self.worker);
                let (worker, stamp) = (self.worker.clone(), self.stamp);
                self.parts.core.tell(Event::WorkerProbed { worker, stamp, probes }).await?;
            }
            StreamOpen::KIND => self.open_stream(frame.open()?).await?,
            StreamData::KIND => self.stream_data(&frame.open()?).await?,
            Ping::KIND => {
                let Ping { nonce } = frame.open()?;
                self.reply(&Pong { nonce }).await?;
            }
            Pong::KIND => {}
            _ => frame.skip_unknown()?,
        }
        Ok(())
    }

    async fn report(&mut self, report: ToMaster) -> anyhow::Result<()> {
        let id = report.command;
        if !self.given.has(id) && !self.disowned.contains(&id) {
            // The engine believes none of it, but has to say that such a command must end.
            self.suspect("reports a command", id);
        }
        let (worker, stamp) = (self.worker.clone(), self.stamp);
        failpoint::before(Act::Reported);
        self.parts.core.tell(Event::Reported { worker, stamp, report }).await?;
        failpoint::after(Act::Reported);
        Ok(())
    }

    async fn open_stream(&mut self, open: StreamOpen) -> anyhow::Result<()> {
        let command = wire::command_from_wire(open.command);
        if open.stream.is_multiple_of(2) || open.stream <= self.last_stream {
            bail!("stream {} is not the worker's to open", open.stream);
        }
        if !self.given.has(command) {
            self.suspect("sends the log of a command", command);
            bail!("a log for command {command}, which this worker was not given");
        }
        let shelf = self.parts.shelf.clone();
        let find = move || failpoint::around(Act::LogOpen, || shelf.live(command));
        let live = threads::blocking(find).await;
        let live = live.context("open a log")??;
        let log = live.as_ref().map(Arc::downgrade).unwrap_or_default();
        // A command has one stream; those that were opened before are done.
        self.streams.retain(|_, other| other.command != command && other.log.strong_count() > 0);
        self.streams.insert(open.stream, Incoming { command, log, offset: open.offset });
        self.last_stream = open.stream;
        Ok(())
    }

    async fn stream_data(&mut self, data: &StreamData) -> anyhow::Result<()> {
        if data.stream.is_multiple_of(2) || data.stream > self.last_stream {
            bail!("data for stream {}, which is not open", data.stream);
        }
        let records = data.bytes.as_ref();
        if records.len() > MOST_DATA_BYTES {
            bail!("{} bytes in a piece of a stream; the limit is {MOST_DATA_BYTES}", records.len());
        }
        let incoming = self.streams.get_mut(&data.stream);
        // A log that was sealed is complete: nothing more of it is wanted.
        if let Some(incoming) = incoming
            && let Some(log) = incoming.log.upgrade()
        {
            log.append(incoming.offset, records)
                .with_context(|| format!("keep the log of command {}", incoming.command))?;
            incoming.offset += records.len() as u64;
        }
        failpoint::before(Act::LogCredit);
        self.reply(&StreamCredit { stream: data.stream, bytes: records.len() as u64 }).await?;
        failpoint::after(Act::LogCredit);
        Ok(())
    }
}

fn check_place(attach: &Attach) -> anyhow::Result<()> {
    for id in [&attach.boot_id, &attach.spool_id] {
        if id.len() > MOST_ID_BYTES || id.contains('\0') {
            bail!("an id of {} bytes for a boot or a spool; ours are short", id.len());
        }
    }
    Ok(())
}

fn translate(reports: Vec<Report>) -> anyhow::Result<Vec<ToMaster>> {
    reports.into_iter().map(|report| Ok(wire::report_from_wire(report)?)).collect()
}

/// Writes orders and replies; orders first, so that a flood of logs never holds up a stop.
async fn write_out(
    mut write: Writer,
    mut orders: mpsc::Receiver<ToSession>,
    (completion, mut complete): (Completion, mpsc::Receiver<Box<Start>>),
    mut replies: mpsc::Receiver<Vec<u8>>,
    given: &Given,
) -> anyhow::Result<()> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut pings = tokio::time::interval(Duration::from_millis(limits::PING_MS));
    let mut nonce = 0;
    loop {
        // All branches are cancel-safe.
        tokio::select! {
            biased;
            Some(order) = orders.recv() => take_order(order, &completion, given, &mut buffer)?,
            Some(start) = complete.recv() => {
                let order = ToSession::Start(start);
                given.note(&order);
                let wire = Zeroizing::new(encode_order(&order)?);
                failpoint::before(Act::WorkerWrite);
                write.write_all(&wire).await.context("write to the worker")?;
                failpoint::after(Act::WorkerWrite);
                continue;
            }
            Some(reply) = replies.recv() => buffer.extend(reply),
            _ = pings.tick() => {
                nonce += 1;
                buffer.extend(encode(&Ping { nonce })?);
            }
            else => return Ok(()),
        }
        while let Ok(order) = orders.try_recv() {
            take_order(order, &completion, given, &mut buffer)?;
        }
        while let Ok(reply) = replies.try_recv() {
            buffer.extend(reply);
        }
        failpoint::before(Act::WorkerWrite);
        write.write_all(&buffer).await.context("write to the worker")?;
        failpoint::after(Act::WorkerWrite);
        buffer.clear();
    }
}

/// Adds an order to what is written next, or has it completed first.
fn take_order(
    order: ToSession,
    completion: &Completion,
    given: &Given,
    buffer: &mut Vec<u8>,
) -> anyhow::Result<()> {
    match order {
        ToSession::Start(start) if Completion::is_wanted(&start) => completion.begin(start),
        ToSession::Start(_)
        | ToSession::Stop(_)
        | ToSession::FinalAck(_)
        | ToSession::BuildsLeft(_) => {
            given.note(&order);
            buffer.extend(encode_order(&order)?);
        }
    }
    Ok(())
}

fn encode_order(order: &ToSession) -> anyhow::Result<Vec<u8>> {
    Ok(match order {
        ToSession::Start(start) => encode(&**start)?,
        ToSession::Stop(stop) => encode(stop)?,
        ToSession::FinalAck(ack) => encode(ack)?,
        ToSession::BuildsLeft(left) => encode(left)?,
    })
}
