//! The loop: event in, `attempt` decides, act.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use attempt::worker::{Input, Output, Worker};
use attempt::{CommandId, LostReason, Outcome, Properties, Stamp, StopOrder};
use failpoint::Act;
use proto::message::command::Start;
use shim::{Created, EventChannel, Request, Secrets, SpawnError, Spec, SpoolError, SpoolRoot};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

use super::drain::{AtDeadline, Drain, DrainOrder, Leave};
use super::event::{Census, Event, Hail, Unwelcome};
use super::launches::{Launch, Launches};
use super::recover::{Recovered, forget, spool_id, with_source};
use super::spawners::Spawners;
use super::supervise::{LastLine, Watch};
use super::tails::{Tail, Tails};
use crate::exec::{self, OrderError, Workshop};
use crate::link::{Link, ToLink, command_from_wire, start_from_wire};
use crate::tasks::{Tasks, blocking};

/// Requests a supervisor has not taken yet.
const REQUESTS: usize = 64;
/// SIGTERM and a moment, for `stop --kill`.
const END_ALL: StopOrder = StopOrder { signal: 15, grace_ms: 5_000 };

/// What the loop works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub spool: Arc<SpoolRoot>,
    pub spawners: Spawners,
    pub workshop: Workshop,
    pub tasks: Tasks,
    /// The loop's own queue, for those who report to it.
    pub events: mpsc::Sender<Event>,
}

/// The owner of all commands.
#[derive(Debug)]
pub(crate) struct Daemon {
    parts: Parts,
    worker: Worker,
    tails: watch::Sender<Tails>,
    link: Option<Link>,
    /// The line to each command that runs.
    running: BTreeMap<CommandId, mpsc::Sender<Request>>,
    /// To supervisors of commands that have ended and are not forgotten yet.
    last_lines: BTreeMap<CommandId, LastLine>,
    launches: Launches,
    is_ending_all: bool,
    drain: Drain,
    /// Where people see how a leave-taking stands.
    leave: watch::Sender<Leave>,
}

/// Why a command was not started. Nothing was run but where the spool says so.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    #[error("{0}")]
    Order(#[from] OrderError),
    #[error("{}", with_source(.0))]
    Spool(#[from] SpoolError),
    #[error("{}", with_source(.0))]
    Spawn(#[from] SpawnError),
}

impl Daemon {
    /// Takes over what was recovered. Has to be called within the runtime: adopted commands are
    /// watched from now on.
    pub(crate) fn new(parts: Parts, recovered: Recovered) -> Self {
        let Recovered { worker, outputs, tails } = recovered;
        let tails = watch::Sender::new(tails);
        let mut daemon = Self {
            parts,
            worker,
            tails,
            link: None,
            running: BTreeMap::new(),
            last_lines: BTreeMap::new(),
            launches: Launches::default(),
            is_ending_all: false,
            drain: Drain::No,
            leave: watch::Sender::new(Leave::Ready),
        };
        daemon.perform(outputs, None);
        daemon
    }

    /// Returns where to read how far the logs are.
    pub(crate) fn tails(&self) -> watch::Receiver<Tails> {
        self.tails.subscribe()
    }

    /// Returns where to read whether this worker takes builds.
    pub(crate) fn leave(&self) -> watch::Receiver<Leave> {
        self.leave.subscribe()
    }

    /// Runs until the tasks are told to end, or until everything has ended that should.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let end = self.parts.tasks.end().clone();
        loop {
            // All branches are cancel-safe.
            let event = tokio::select! {
                Some(event) = events.recv() => event,
                () = moment(self.drain.until()) => {
                    self.deadline();
                    continue;
                }
                () = end.cancelled() => return,
            };
            self.handle(event).await;
            if self.has_taken_leave() {
                info!("drained: every build has ended");
                end.cancel();
                return;
            }
            if self.is_ending_all && self.worker.running() == 0 {
                info!("all commands have ended");
                end.cancel();
                return;
            }
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Welcomed { stamp, link, reply } => self.welcomed(stamp, link, reply).await,
            Event::Disconnected => {
                self.link = None;
                self.drain.told(None);
                self.input(Input::Disconnected);
            }
            Event::Start(start) => self.start(&start),
            Event::BuildsLeft { stamp, builds } => {
                if self.worker.is_current(stamp) {
                    self.drain.told(Some(builds));
                }
            }
            Event::Order(order) => self.input(Input::Message(order)),
            Event::Started(command) => self.input(Input::Started(command)),
            Event::Ended { command, outcome, log_bytes, properties, line } => {
                self.last_lines.extend(line.map(|line| (command, line)));
                self.ended(command, outcome, log_bytes, properties);
            }
            Event::LogTorn { command, log_bytes } => self.log_torn(command, log_bytes),
            Event::Count(reply) => {
                let running = self.worker.running();
                let waiting = self.worker.report().len() - running;
                // Whoever asked may have left.
                reply.send(Census { running, waiting }).ok();
            }
            Event::EndAll => self.end_all(),
            Event::Drain(order) => self.begin_drain(order),
            Event::Resume => self.resume(),
        }
    }

    fn input(&mut self, input: Input) {
        let outputs = self.worker.handle(input);
        self.perform(outputs, None);
    }

    async fn welcomed(
        &mut self,
        stamp: Stamp,
        link: Link,
        reply: oneshot::Sender<Result<Hail, Unwelcome>>,
    ) {
        let before = self.worker.clone();
        let outputs = self.worker.handle(Input::Welcomed(stamp));
        let verdict = match outputs.as_slice() {
            [Output::RefuseMaster { seen }, ..] => Err(Unwelcome::Older { seen: *seen }),
            [Output::RememberEpoch(epoch), ..] => self.remember(*epoch).await,
            _ => Ok(()),
        };
        // Where nobody waits for the answer the connection has ended already.
        drop(match verdict {
            Ok(()) => {
                self.link = Some(link);
                let readiness = self.drain.readiness();
                reply.send(Ok(Hail { reports: self.worker.report(), readiness }))
            }
            Err(unwelcome) => {
                self.worker = before;
                reply.send(Err(unwelcome))
            }
        });
    }

    /// Stores an epoch, before anything of that master is believed.
    async fn remember(&self, epoch: i64) -> Result<(), Unwelcome> {
        let spool = self.parts.spool.clone();
        blocking(move || spool.set_epoch(epoch))
            .await
            .map_err(|error| Unwelcome::Unstored { why: with_source(&error) })
    }

    fn start(&mut self, start: &Start) {
        let command = command_from_wire(start.command);
        if self.is_ending_all {
            // Nothing is answered: the master sees that it never ran and sends it again.
            info!(command.id = %command, "left a new command to the next run of this worker");
            return;
        }
        let outputs = self.worker.handle(Input::Message(start_from_wire(start)));
        self.perform(outputs, Some(start));
    }

    /// Does what the worker's half decided, in its order. `start` is what a `Run` is about.
    fn perform(&mut self, outputs: Vec<Output>, start: Option<&Start>) {
        for output in outputs {
            match output {
                // Both are about a welcome, and done there.
                Output::RememberEpoch(_) | Output::RefuseMaster { .. } => {}
                Output::Run(command) => match start {
                    Some(start) => self.launch(command, start),
                    None => error!(command.id = %command, "a command without its order"),
                },
                Output::Adopt(command) => self.watch(command, None, None),
                Output::Stop(command, order) => self.stop(command, order),
                Output::Delete(command) => self.delete(command),
                Output::Send(report) => self.tell(ToLink::Report(report)),
            }
        }
    }

    fn launch(&mut self, command: CommandId, start: &Start) {
        let launch = self.launches.begin();
        let outcome = match self.try_launch(command, start) {
            Ok(channel) => {
                self.set_tail(command, Tail::default());
                self.tell(ToLink::Stream(command));
                self.watch(command, Some(channel), Some(launch));
                return;
            }
            Err(LaunchError::Spool(SpoolError::Exists { .. })) => {
                // Its directory is there, so it may have run: the safe word is `lost`.
                Outcome::Lost(LostReason::Supervisor)
            }
            Err(error) => Outcome::NotStarted(error.to_string()),
        };
        self.ended(command, outcome, 0, None);
    }

    fn try_launch(
        &mut self,
        command: CommandId,
        start: &Start,
    ) -> Result<EventChannel, LaunchError> {
        let spec = exec::spec(start, &self.parts.workshop)?;
        let secrets = exec::secrets(start)?;
        let channel = self.supervisor(command, &spec, secrets.as_ref())?;
        let (program, builder) = (start.program, &start.builder);
        info!(
            command.id = %command, builder = %builder, slot = start.slot, %program,
            variables = %exec::names(&spec), "started a command"
        );
        Ok(channel)
    }

    /// Starts a supervisor. A spawner that is gone has taken nothing: the next one is asked.
    fn supervisor(
        &mut self,
        command: CommandId,
        spec: &Spec,
        secrets: Option<&Secrets>,
    ) -> Result<EventChannel, LaunchError> {
        let id = spool_id(command);
        for _ in 0..Spawners::COUNT {
            let created = self.create(id, spec, secrets)?;
            match self.parts.spawners.spawn(created) {
                Err(SpawnError::Hand { source }) => {
                    warn!(command.id = %command, "a spawner is gone: {source}");
                    self.parts.spool.remove(id)?;
                }
                spawned => return Ok(spawned?),
            }
        }
        let created = self.create(id, spec, secrets)?;
        Ok(self.parts.spawners.spawn(created)?)
    }

    fn create(
        &self,
        id: shim::CommandId,
        spec: &Spec,
        secrets: Option<&Secrets>,
    ) -> Result<Created, SpoolError> {
        let created = self.parts.spool.create(id, spec)?;
        match secrets {
            Some(secrets) => created.with_secrets(secrets),
            None => Ok(created),
        }
    }

    fn watch(&mut self, command: CommandId, channel: Option<EventChannel>, launch: Option<Launch>) {
        let (requests, receiver) = mpsc::channel(REQUESTS);
        self.running.insert(command, requests);
        let watch = Watch {
            command,
            spool: self.parts.spool.clone(),
            requests: receiver,
            tails: self.tails.clone(),
            daemon: self.parts.events.clone(),
            end: self.parts.tasks.end().clone(),
            launch,
        };
        self.parts.tasks.spawn("watch a command", watch.run(channel));
    }

    fn stop(&self, command: CommandId, order: StopOrder) {
        let StopOrder { signal, grace_ms } = order;
        debug!(command.id = %command, signal, grace_ms, "stopping a command");
        let request = Request::Stop { signal, grace_ms };
        let send = || self.running.get(&command).map(|line| line.try_send(request));
        let sent = failpoint::around(Act::StopRequest, send);
        if !matches!(sent, Some(Ok(()))) {
            warn!(command.id = %command, "a command does not take requests; its end is awaited");
        }
    }

    fn ended(
        &mut self,
        command: CommandId,
        outcome: Outcome,
        log_bytes: u64,
        properties: Option<Properties>,
    ) {
        info!(command.id = %command, log_bytes, "command ended: {outcome}");
        self.running.remove(&command);
        let tail = Tail { bytes: log_bytes, end: Some(log_bytes) };
        self.set_tail(command, tail);
        let end = Input::Ended { command, outcome, log_bytes, properties };
        failpoint::around(Act::CommandEnd, || self.input(end));
    }

    /// The disk lost a part of a log: the master is told what there is, so that it waits for no
    /// more. A later start of this worker finds the same.
    fn log_torn(&mut self, command: CommandId, log_bytes: u64) {
        warn!(command.id = %command, log_bytes, "the rest of the log of a command is gone");
        self.set_tail(command, Tail { bytes: log_bytes, end: Some(log_bytes) });
        self.input(Input::LogTorn { command, log_bytes });
    }

    fn set_tail(&self, command: CommandId, tail: Tail) {
        self.tails.send_modify(|tails| {
            tails.insert(command, tail);
        });
    }

    fn delete(&mut self, command: CommandId) {
        self.tails.send_if_modified(|tails| tails.remove(&command).is_some());
        let spool = self.parts.spool.clone();
        let line = self.last_lines.remove(&command);
        let launches = self.launches.clone();
        let forget = async move {
            launches.pause().await;
            blocking(move || forget(&spool, command)).await;
            // Now its supervisor sees that there is nothing left to sync.
            drop(line);
        };
        self.parts.tasks.spawn("forget a command", forget);
    }

    fn tell(&self, word: ToLink) {
        if let Some(link) = &self.link {
            link.tell(word);
        }
    }

    fn begin_drain(&mut self, order: DrainOrder) {
        let DrainOrder { deadline_ms, at_deadline } = order;
        let until =
            deadline_ms.and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
        let builds_left = match self.drain {
            Drain::No => None,
            Drain::Waiting { builds_left, .. } => builds_left,
        };
        info!(deadline_ms, running = self.worker.running(), "draining: no new builds");
        self.drain = Drain::Waiting { until, at_deadline, builds_left };
        self.tell(ToLink::Readiness(self.drain.readiness()));
    }

    fn resume(&mut self) {
        info!("taking builds again");
        self.drain = Drain::No;
        self.tell(ToLink::Readiness(self.drain.readiness()));
    }

    /// The time of a drain has come.
    fn deadline(&mut self) {
        let Drain::Waiting { at_deadline, builds_left, .. } = self.drain else { return };
        warn!(
            builds_left,
            running = self.worker.running(),
            "the deadline of the drain has come before the last build ended"
        );
        // Nothing is to be waited for twice.
        self.drain = Drain::Waiting { until: None, at_deadline, builds_left };
        match at_deadline {
            AtDeadline::End if self.worker.running() > 0 => self.end_all(),
            AtDeadline::End | AtDeadline::Leave => self.parts.tasks.end().cancel(),
        }
    }

    /// Tells people how it stands, and says whether everything is done.
    fn has_taken_leave(&mut self) -> bool {
        let commands_left = match self.drain {
            Drain::No => 0,
            Drain::Waiting { .. } => self.worker.report().len(),
        };
        let leave = self.drain.leave(commands_left);
        self.leave.send_if_modified(|before| std::mem::replace(before, leave) != leave);
        leave == Leave::Draining { builds_left: Some(0), commands_left: 0 }
    }

    fn end_all(&mut self) {
        self.is_ending_all = true;
        info!(running = self.worker.running(), "ending all commands");
        for command in self.running.keys() {
            self.stop(*command, END_ALL);
        }
    }
}

async fn moment(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
