//! Performs actions after their writes are committed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use attempt::{CommandId, Stamp};
use config::Name;
use config::template::Part;
use engine::{Action, Answer, Directive, Fate, RequestId, StartOrder, Ticket};
use failpoint::Act;
use proto::message::command::{
    BuildsLeft, FinalAck, Program, SecretPiece, SecretVariable, Start, Stop, Variable,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::wire;

/// So many watchers are no reason to look for those that nobody holds any more.
const MOST_WATCHERS: usize = 64;
/// More are neither counted nor told.
const MOST_DISOWNED: usize = 10_000;

/// What the loop says to a worker's connection.
#[derive(Debug)]
pub enum ToSession {
    Start(Box<Start>),
    Stop(Stop),
    FinalAck(FinalAck),
    BuildsLeft(BuildsLeft),
}

/// A worker's connection, as the loop holds it.
#[derive(Debug, Clone)]
pub struct WorkerSession {
    pub worker: Name,
    pub stamp: Stamp,
    pub sender: mpsc::Sender<ToSession>,
    /// Ends the connection.
    pub close: CancellationToken,
}

/// Where actions go.
#[derive(Debug)]
pub(super) struct Actors {
    pub(super) sessions: BTreeMap<Name, WorkerSession>,
    /// The newest connection each worker ever had; outlives the connection.
    newest: BTreeMap<Name, Stamp>,
    pub(super) waiting: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    watchers: BTreeMap<RequestId, watch::Sender<u64>>,
    /// With so many watchers, those of nobody are looked for.
    most_watchers: usize,
    /// Commands of workers that the database did not know, since the start.
    pub(super) disowned: BTreeSet<CommandId>,
    seals: mpsc::Sender<(CommandId, u64)>,
    /// Seals the keeper had no room for. It must never be waited for: it waits for the loop.
    backlog: VecDeque<(CommandId, u64)>,
}

impl Actors {
    pub(super) fn new(seals: mpsc::Sender<(CommandId, u64)>) -> Self {
        Self {
            sessions: BTreeMap::new(),
            newest: BTreeMap::new(),
            waiting: BTreeMap::new(),
            watchers: BTreeMap::new(),
            most_watchers: MOST_WATCHERS,
            disowned: BTreeSet::new(),
            seals,
            backlog: VecDeque::new(),
        }
    }

    /// Takes over a new connection; an older one of the same worker ends. Says whether it was
    /// taken: one that is introduced late, after a newer one, ends instead, for what it says of
    /// the worker is no longer so.
    pub(super) fn attach(&mut self, session: WorkerSession) -> bool {
        let newest = self.newest.entry(session.worker.clone()).or_insert(session.stamp);
        if *newest > session.stamp {
            session.close.cancel();
            return false;
        }
        *newest = session.stamp;
        if let Some(older) = self.sessions.insert(session.worker.clone(), session) {
            older.close.cancel();
        }
        true
    }

    pub(super) fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Answer { ticket, answer } => {
                    failpoint::around(Act::Answer, || self.answer(ticket, answer));
                }
                Action::Send { worker, stamp, directive } => {
                    let act = act_of(&directive);
                    act.into_iter().for_each(failpoint::before);
                    self.send(&worker, stamp, directive);
                    act.into_iter().for_each(failpoint::after);
                }
                Action::SealLog { command, log_bytes } => {
                    let seal = (command, log_bytes);
                    failpoint::around(Act::SealOrder, || self.backlog.push_back(seal));
                }
                Action::Disowned { worker, command, fate } => {
                    self.disowned(&worker, command, fate);
                }
                Action::Dismiss { worker, stamp } => self.dismiss(&worker, stamp),
                Action::RequestChanged { request } => self.wake(request),
            }
        }
        while let Some(seal) = self.backlog.pop_front() {
            if self.seals.try_send(seal).is_err() {
                self.backlog.push_front(seal);
                break;
            }
        }
    }

    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        if let Some(reply) = self.waiting.remove(&ticket)
            && reply.send(answer).is_err()
        {
            tracing::debug!("nobody waits for the answer any more");
        }
    }

    fn dismiss(&mut self, worker: &Name, stamp: Stamp) {
        if let Some(session) = self.sessions.get(worker).filter(|session| session.stamp == stamp) {
            info!(worker.name = %worker, "worker {worker} is no longer in the configuration");
            session.close.cancel();
            self.sessions.remove(worker);
        }
    }

    fn disowned(&mut self, worker: &Name, command: CommandId, fate: Fate) {
        // A worker may say the same, and invent more, as often as it likes.
        if self.disowned.len() >= MOST_DISOWNED || !self.disowned.insert(command) {
            return;
        }
        let what = match fate {
            Fate::Killed => "is killed",
            Fate::Discarded => "has ended and is discarded with its output",
        };
        warn!(
            worker.name = %worker, command.id = %command,
            "worker {worker} has command {command}, which this database does not know: it {what}"
        );
    }

    /// Returns a receiver that wakes when the request changes.
    pub(super) fn watch(&mut self, request: RequestId) -> watch::Receiver<u64> {
        if self.watchers.len() >= self.most_watchers {
            // Requests that have ended are never woken again, so nothing else removes them.
            self.watchers.retain(|_, watcher| !watcher.is_closed());
            self.most_watchers = MOST_WATCHERS.max(2 * self.watchers.len());
        }
        self.watchers.entry(request).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    fn wake(&mut self, request: RequestId) {
        let Some(watcher) = self.watchers.get(&request) else { return };
        if watcher.is_closed() {
            self.watchers.remove(&request);
            return;
        }
        watcher.send_modify(|version| *version += 1);
    }

    fn send(&mut self, worker: &Name, stamp: Stamp, directive: Directive) {
        let Some(session) = self.sessions.get(worker) else { return };
        if session.stamp != stamp {
            return;
        }
        // A worker that lets its queue fill up is cut off: it comes back and is told again.
        if session.sender.try_send(to_session(stamp, directive)).is_err() {
            session.close.cancel();
        }
    }
}

/// Returns the act that an order to a worker is, if it is about a command.
fn act_of(directive: &Directive) -> Option<Act> {
    match directive {
        Directive::Start(_) => Some(Act::Start),
        Directive::Stop { .. } => Some(Act::Stop),
        Directive::FinalAck { .. } => Some(Act::FinalAck),
        Directive::BuildsLeft { .. } => None,
    }
}

fn to_session(stamp: Stamp, directive: Directive) -> ToSession {
    let Stamp { epoch, session } = stamp;
    match directive {
        Directive::Start(order) => ToSession::Start(Box::new(start(stamp, *order))),
        Directive::Stop { command, order } => ToSession::Stop(Stop {
            epoch,
            session,
            command: wire::command_to_wire(command),
            signal: order.signal,
            grace_ms: order.grace_ms,
        }),
        Directive::BuildsLeft { builds } => {
            ToSession::BuildsLeft(BuildsLeft { epoch, session, builds })
        }
        Directive::FinalAck { command } => ToSession::FinalAck(FinalAck {
            epoch,
            session,
            command: wire::command_to_wire(command),
        }),
    }
}

fn start(stamp: Stamp, order: StartOrder) -> Start {
    let variable =
        |(name, value): (Vec<u8>, Vec<u8>)| Variable { name: name.into(), value: value.into() };
    Start {
        epoch: stamp.epoch,
        session: stamp.session,
        command: wire::command_to_wire(order.command),
        program: match order.program {
            engine::step::Program::Exec => Program::Exec,
            engine::step::Program::Script => Program::Script,
            engine::step::Program::Git => Program::Git,
        },
        argv: order.argv.into_iter().map(Into::into).collect(),
        env: order.env.into_iter().map(variable).collect(),
        builder: order.builder.to_string(),
        slot: order.slot,
        workdir: order.workdir.into(),
        timeout_ms: order.timeout_ms,
        silence_timeout_ms: order.silence_timeout_ms,
        max_output_bytes: order.max_output_bytes,
        max_processes: order.max_processes,
        memory_bytes: order.memory_bytes,
        properties_file: order.properties_file.map(Into::into),
        secrets: Vec::new(),
        secret_env: order.secret_env.into_iter().map(secret_variable).collect(),
    }
}

/// Translates a variable with secrets in it. Their values are put beside it where it is sent.
fn secret_variable((name, parts): (Vec<u8>, Vec<Part>)) -> SecretVariable {
    let piece = |part| match part {
        Part::Bytes(bytes) => SecretPiece { text: bytes.into(), secret: None },
        Part::Secret(name) => {
            SecretPiece { text: Vec::new().into(), secret: Some(name.to_string()) }
        }
    };
    SecretVariable { name: name.into(), pieces: parts.into_iter().map(piece).collect() }
}
