//! Watches one command: passes requests to its supervisor, hears its events, finds its end.
//!
//! Of an end the supervisor tells what it wrote into the spool. Where it tells nothing more, the
//! spool says what became of the command.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use attempt::{CommandId, Outcome, Properties};
use shim::{EventChannel, Exit, Frames, Request, SpoolRoot};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::event::Event;
use super::launches::Launch;
use super::recover::{Seen, look, spool_id, with_source};
use super::tails::{Tails, live_bytes};
use crate::tasks::blocking;

/// Before a living supervisor that cannot be reached is looked at again. It is about to end, or
/// about to listen.
const PAUSE: Duration = Duration::from_millis(5);
/// It stays out of reach: something is wrong with the machine.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// What watching one command needs.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) command: CommandId,
    pub(super) spool: Arc<SpoolRoot>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) tails: watch::Sender<Tails>,
    pub(super) daemon: mpsc::Sender<Event>,
    pub(super) end: CancellationToken,
    /// Until it has started.
    pub(super) launch: Option<Launch>,
}

/// A command that ends sooner is reported once, as ended: the master commits each report.
const WORTH_A_REPORT: Duration = Duration::from_millis(10);

/// The line to a supervisor that has told the end of its command. While it is held, the supervisor
/// leaves the sync of a silent command's end for later: most are forgotten first.
#[derive(Debug)]
pub(crate) struct LastLine(#[expect(dead_code, reason = "held, not used")] UnixStream);

/// How a command ended.
struct End {
    outcome: Outcome,
    log_bytes: u64,
    properties: Option<Properties>,
    line: Option<LastLine>,
}

/// The daemon is stopping; the command goes on.
struct Stopping;

impl Watch {
    /// Watches to the command's end, which is reported, or until the daemon stops.
    pub(super) async fn run(mut self, channel: Option<EventChannel>) {
        let Ok(end) = self.watch(channel).await else { return };
        let End { outcome, log_bytes, properties, line } = end;
        let command = self.command;
        let ended = Event::Ended { command, outcome, log_bytes, properties, line };
        // A daemon that is stopping finds it in the spool next time.
        drop(self.daemon.send(ended).await);
    }

    async fn watch(&mut self, mut channel: Option<EventChannel>) -> Result<End, Stopping> {
        let mut pause = PAUSE;
        loop {
            let mut word = None;
            if let Some(channel) = channel.take() {
                word = self.follow(channel).await?;
                self.launch = None;
                pause = PAUSE;
            }
            let (line, told) = word.map_or((None, None), |(line, exit)| (Some(line), exit));
            let seen = match told {
                Some(exit) => Some(Seen::of(exit)),
                None => self.look().await,
            };
            match seen {
                Some(Seen::Ended { outcome, log_bytes, properties }) => {
                    // After output the supervisor synced first and is gone.
                    let line = line.filter(|_| log_bytes == 0);
                    return Ok(End { outcome, log_bytes, properties, line });
                }
                Some(Seen::NeverRan) => {
                    let why = "its supervisor did not start; the worker's log says why";
                    let outcome = Outcome::NotStarted(why.to_owned());
                    return Ok(End { outcome, log_bytes: 0, properties: None, line: None });
                }
                Some(Seen::Alive) => channel = self.adopt().await,
                Some(Seen::Dying) | None => pause = LONG_PAUSE,
            }
            if channel.is_none() {
                tokio::select! {
                    () = sleep(pause) => pause = (pause * 2).min(LONG_PAUSE),
                    () = self.end.cancelled() => return Err(Stopping),
                }
            }
        }
    }

    async fn look(&self) -> Option<Seen> {
        let (spool, id) = (self.spool.clone(), spool_id(self.command));
        match blocking(move || look(&spool, id)).await {
            Ok(seen) => Some(seen),
            Err(error) => {
                let why = with_source(&error);
                error!(command.id = %self.command, "read what became of a command: {why}");
                None
            }
        }
    }

    async fn adopt(&self) -> Option<EventChannel> {
        let (spool, id) = (self.spool.clone(), spool_id(self.command));
        let connect = move || (EventChannel::adopt(&spool.directory(id)), live_bytes(&spool, id));
        let (channel, bytes) = blocking(connect).await;
        match channel {
            Ok(channel) => {
                debug!(command.id = %self.command, "adopted a command");
                self.grown(bytes);
                Some(channel)
            }
            Err(error) => {
                debug!(command.id = %self.command, "reach the supervisor of a command: {error}");
                None
            }
        }
    }

    /// Listens until the supervisor says that the command has ended, or is gone itself.
    async fn follow(
        &mut self,
        channel: EventChannel,
    ) -> Result<Option<(LastLine, Option<Exit>)>, Stopping> {
        match self.talk(channel).await {
            Ok(Heard::Exited(line, exit)) => Ok(Some((line, exit))),
            Ok(Heard::Gone) => Ok(None),
            Ok(Heard::Stopping) => Err(Stopping),
            Err(error) => {
                warn!(command.id = %self.command, "talk to the supervisor of a command: {error}");
                Ok(None)
            }
        }
    }

    async fn talk(&mut self, channel: EventChannel) -> io::Result<Heard> {
        channel.0.set_nonblocking(true)?;
        let mut socket = UnixStream::from_std(channel.0)?;
        let mut frames = Frames::default();
        let mut bytes = [0; 1024];
        let mut report_at = None;
        loop {
            // All branches are cancel-safe: reading takes nothing where another branch won.
            let woken = tokio::select! {
                count = socket.read(&mut bytes) => Woken::Bytes(count?),
                Some(request) = self.requests.recv() => Woken::Request(request),
                () = moment(report_at) => Woken::Report,
                () = self.end.cancelled() => return Ok(Heard::Stopping),
            };
            match woken {
                Woken::Report => {
                    report_at = None;
                    self.started().await;
                }
                Woken::Bytes(0) => return Ok(Heard::Gone),
                Woken::Bytes(count) => frames.push(&bytes[..count]),
                Woken::Request(request) => {
                    let frame = request.encode();
                    // A supervisor that is gone is noticed by reading. A frame cut off by the
                    // end of the daemon is one the supervisor never sees whole.
                    tokio::select! {
                        written = socket.write_all(&frame) => drop(written),
                        () = self.end.cancelled() => return Ok(Heard::Stopping),
                    }
                }
            }
            while let Some(event) = frames.next_event().map_err(io::Error::other)? {
                match event {
                    shim::Event::Started => {
                        self.launch = None;
                        report_at = Some(Instant::now() + WORTH_A_REPORT);
                    }
                    shim::Event::Output { log_bytes } => self.grown(log_bytes),
                    shim::Event::Exited(exit) => {
                        return Ok(Heard::Exited(LastLine(socket), exit));
                    }
                }
            }
        }
    }

    async fn started(&self) {
        // A daemon that is stopping does not need to know.
        drop(self.daemon.send(Event::Started(self.command)).await);
    }

    fn grown(&self, bytes: u64) {
        self.tails.send_if_modified(|tails| {
            let Some(tail) = tails.get_mut(&self.command) else { return false };
            let is_news = tail.end.is_none() && bytes > tail.bytes;
            tail.bytes = tail.bytes.max(bytes);
            is_news
        });
    }
}

/// What woke a talk.
enum Woken {
    Bytes(usize),
    Request(Request),
    /// The command has run for long enough to be reported.
    Report,
}

async fn moment(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Why a talk ended.
enum Heard {
    Exited(LastLine, Option<Exit>),
    /// The supervisor itself is gone.
    Gone,
    Stopping,
}
