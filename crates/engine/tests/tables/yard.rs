//! An engine with workers that obey, a clock that is set, and the memory of all that was written.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use attempt::master::State;
use attempt::{CommandId, Outcome, Place, Properties, Stamp, StopOrder, ToMaster, View};
use config::{Name, Value};
use engine::row::{Build, Command, Request, RequestState, StepState, SubmissionKey, User};
use engine::variable::Offered;
use engine::{
    Abandoned, Accepted, Action, Answer, BuildId, BuildResult, Directive, Engine, Event, Facts,
    Fate, GivenUp, Identity, LaunchOffer, LaunchWait, NewChange, Now, Offer, Readiness, RequestId,
    Rows, Standing, StartOrder, StopScope, Stopped, Submission, Ticket, Unfinished, Write,
};

use crate::configured::settings;

pub(crate) const SECOND: i64 = 1_000_000;

/// The source by which clients submit.
pub(crate) const SOURCE: &str = "launch";

/// Who submits where it does not matter.
pub(crate) const ANN: &str = "unix:here:1000";

pub(crate) fn named(text: &str) -> Name {
    Name::parse(text).expect("tests use good names")
}

/// One worker's machine.
#[derive(Debug)]
pub(crate) struct Machine {
    place: Place,
    pub(crate) stamp: Option<Stamp>,
    /// Whether what is sent to it is lost on the way.
    pub(crate) is_deaf: bool,
    pub(crate) readiness: Readiness,
    /// What it was told of the builds it has.
    pub(crate) left: Vec<u32>,
    pub(crate) commands: BTreeMap<CommandId, View>,
    /// What it was told to start and to stop, in order.
    pub(crate) starts: Vec<StartOrder>,
    pub(crate) stops: Vec<(CommandId, StopOrder)>,
    pub(crate) forgotten: Vec<CommandId>,
    pub(crate) facts: Facts,
}

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) result: BuildResult,
    pub(crate) exit_code: u8,
    pub(crate) reason: String,
}

#[derive(Debug)]
pub(crate) struct Yard {
    pub(crate) engine: Engine,
    pub(crate) now: Now,
    epoch: i64,
    drawn: i64,
    machines: BTreeMap<Name, Machine>,
    queue: VecDeque<Event>,
    answers: BTreeMap<Ticket, Answer>,
    pub(crate) requests: BTreeMap<RequestId, Request>,
    builds: BTreeMap<BuildId, Build>,
    pub(crate) commands: BTreeMap<CommandId, Command>,
    pub(crate) keys: BTreeMap<String, SubmissionKey>,
    /// Requests whose followers were woken, in order.
    pub(crate) changed: Vec<RequestId>,
    pub(crate) disowned: Vec<(CommandId, Fate)>,
    incarnation: u64,
}

impl Yard {
    /// Makes a yard with the tables of a configuration that the engine knows.
    pub(crate) fn new(configuration: &str) -> Self {
        let now = Now { wall_us: 1_000_000 * SECOND, boot_us: 50 * SECOND };
        let identity = Identity { incarnation: 7, epoch: 1 };
        let settings = Arc::new(settings(configuration));
        let (engine, actions) = Engine::restore(settings, identity, Rows::default(), now);
        assert_eq!(actions, []);
        Self {
            engine,
            now,
            epoch: 1,
            drawn: 0,
            machines: BTreeMap::new(),
            queue: VecDeque::new(),
            answers: BTreeMap::new(),
            requests: BTreeMap::new(),
            builds: BTreeMap::new(),
            commands: BTreeMap::new(),
            keys: BTreeMap::new(),
            changed: Vec::new(),
            disowned: Vec::new(),
            incarnation: 7,
        }
    }

    fn draw(&mut self) -> i64 {
        self.drawn += 1;
        self.drawn
    }

    /// Lets something happen, with everything that follows from it.
    pub(crate) fn happens(&mut self, event: Event) {
        self.queue.push_back(event);
        while let Some(event) = self.queue.pop_front() {
            let decision = self.engine.handle(self.now, event);
            decision.writes.into_iter().for_each(|write| self.keep(write));
            decision.actions.into_iter().for_each(|action| self.perform(action));
        }
        let (restored, _) = self.restored(self.engine.durable().rows());
        assert!(restored.durable() == self.engine.durable(), "a restart changes nothing");
    }

    fn keep(&mut self, write: Write) {
        match write {
            Write::Request(row) => drop(self.requests.insert(row.id, row)),
            Write::Build(row) => drop(self.builds.insert(row.id, row)),
            Write::Command(row) => drop(self.commands.insert(row.id(), row)),
            Write::SubmissionKey(row) => drop(self.keys.insert(row.key.clone(), row)),
            Write::Counter(_)
            | Write::Change(_)
            | Write::SourceHeads(_)
            | Write::Pending(_)
            | Write::Revision(_) => {}
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Answer { ticket, answer } => {
                let before = self.answers.insert(ticket, answer);
                assert_eq!(before, None, "a question is answered once");
            }
            Action::Send { worker, stamp, directive } => self.send(&worker, stamp, directive),
            Action::SealLog { command, .. } => self.queue.push_back(Event::LogSealed { command }),
            Action::RequestChanged { request } => self.changed.push(request),
            Action::Dismiss { worker, stamp } => {
                let machine = self.machines.get_mut(&worker).expect("it was attached");
                if machine.stamp == Some(stamp) {
                    machine.stamp = None;
                    self.queue.push_back(Event::WorkerLost { worker, stamp });
                }
            }
            Action::Disowned { command, fate, .. } => self.disowned.push((command, fate)),
        }
    }

    fn send(&mut self, worker: &Name, stamp: Stamp, directive: Directive) {
        let machine = self.machines.get_mut(worker).expect("only known workers are sent to");
        if machine.stamp != Some(stamp) || machine.is_deaf {
            return;
        }
        match directive {
            Directive::Start(order) => {
                let command = order.command;
                let before = machine.commands.insert(command, View::Running);
                assert_eq!(before, None, "a command is started once");
                machine.starts.push(*order);
                let report = ToMaster { command, view: View::Running };
                self.queue.push_back(Event::Reported { worker: worker.clone(), stamp, report });
            }
            Directive::Stop { command, order } => machine.stops.push((command, order)),
            Directive::FinalAck { command } => {
                machine.commands.remove(&command);
                machine.forgotten.push(command);
            }
            Directive::BuildsLeft { builds } => machine.left.push(builds),
        }
    }

    /// Lets time pass; what is due happens when it is due.
    pub(crate) fn wait(&mut self, length_us: i64) {
        let end = self.now.boot_us + length_us;
        while let Some(due) = self.engine.deadline().filter(|due| *due <= end) {
            self.pass(due - self.now.boot_us);
            self.happens(Event::Due);
        }
        self.pass(end - self.now.boot_us);
    }

    fn pass(&mut self, length_us: i64) {
        self.now.boot_us += length_us;
        self.now.wall_us += length_us;
    }

    fn restored(&self, rows: Rows) -> (Engine, Vec<Action>) {
        let identity = Identity { incarnation: self.incarnation, epoch: self.epoch };
        Engine::restore(self.engine.settings().clone(), identity, rows, self.now)
    }

    /// Kills the master and starts it again: it has its rows, and no connections.
    pub(crate) fn restart(&mut self) {
        self.restart_with(self.engine.durable().rows());
    }

    /// Starts the master with rows that were made by hand, on a machine that has just booted.
    pub(crate) fn restart_with(&mut self, rows: Rows) {
        self.epoch += 1;
        self.now.boot_us = SECOND;
        self.machines.values_mut().for_each(|machine| machine.stamp = None);
        let (engine, actions) = self.restored(rows);
        self.engine = engine;
        actions.into_iter().for_each(|action| self.perform(action));
        while let Some(event) = self.queue.pop_front() {
            self.happens(event);
        }
    }

    /// Starts the master with the database of an earlier moment.
    pub(crate) fn restore_backup(&mut self, backup: Rows, unfinished: Unfinished) {
        self.incarnation += 1;
        let writes = engine::after_backup(backup.clone(), unfinished, self.now.wall_us);
        writes.iter().cloned().for_each(|write| self.keep(write));
        self.restart_with(written(backup, writes));
    }

    /// Starts the master again with another configuration.
    pub(crate) fn restart_as(&mut self, configuration: &str) {
        let settings = Arc::new(settings(configuration));
        let identity = Identity { incarnation: 7, epoch: self.epoch };
        let rows = self.engine.durable().rows();
        self.engine = Engine::restore(settings, identity, rows, self.now).0;
        self.restart();
    }
}

/// Returns what a database holds of living rows after these writes.
fn written(mut rows: Rows, writes: Vec<Write>) -> Rows {
    for write in writes {
        match write {
            Write::Counter(row) => {
                rows.counters.retain(|old| old.name != row.name);
                rows.counters.push(row);
            }
            Write::Change(row) => {
                rows.changes.retain(|old| old.id != row.id);
                rows.changes.extend((row.holders > 0).then_some(row));
            }
            Write::Pending(row) => {
                rows.pending
                    .retain(|old| (&old.scheduler, &old.lane) != (&row.scheduler, &row.lane));
                rows.pending.extend((!row.changes.is_empty()).then_some(row));
            }
            Write::Request(row) => {
                rows.requests.retain(|old| old.id != row.id);
                let is_done = matches!(row.state, RequestState::Done { .. });
                rows.requests.extend((!is_done).then_some(row));
            }
            Write::Build(row) => {
                rows.builds.retain(|old| old.id != row.id);
                rows.builds.extend(row.end.is_none().then_some(row));
            }
            Write::Command(row) => {
                rows.commands.retain(|old| old.id() != row.id());
                rows.commands.push(row);
            }
            Write::SourceHeads(_) | Write::SubmissionKey(_) | Write::Revision(_) => {
                panic!("a backup keeps {write:?}")
            }
        }
    }
    rows
}

/// Clients.
impl Yard {
    pub(crate) fn ticket(&mut self) -> Ticket {
        Ticket(u64::try_from(self.draw()).expect("counters are positive"))
    }

    pub(crate) fn answer(&mut self, ticket: Ticket) -> Answer {
        self.answers.remove(&ticket).expect("every question is answered")
    }

    pub(crate) fn submit(&mut self, submission: Submission) -> Answer {
        let ticket = self.ticket();
        self.happens(Event::Submitted { ticket, submission });
        self.answer(ticket)
    }

    /// Submits a change under a key of its own.
    pub(crate) fn change(&mut self, change: NewChange) -> Accepted {
        let key = self.draw().to_string();
        let offer = Offer::Change(change);
        accepted(self.submit(Submission { principal: ANN.to_owned(), key, body: 0, offer }))
    }

    /// Calls an app under a key of its own.
    pub(crate) fn call(&mut self, app: &str, wait: LaunchWait) -> Answer {
        let key = self.draw().to_string();
        self.submit(Submission {
            principal: ANN.to_owned(),
            key,
            body: 0,
            offer: Offer::Launch(launch(app, wait)),
        })
    }

    /// Calls an app with an argument, for nobody who waits.
    pub(crate) fn call_with(&mut self, app: &str, argument: String) {
        let key = self.draw().to_string();
        let args = vec![argument.into_bytes()];
        let offer = Offer::Launch(LaunchOffer { args, ..launch(app, LaunchWait::Detach) });
        accepted(self.submit(Submission { principal: ANN.to_owned(), key, body: 0, offer }));
    }

    /// Calls an app that is accepted, and returns the name of its request.
    pub(crate) fn launch(&mut self, app: &str) -> String {
        accepted(self.call(app, LaunchWait::Follow)).requests[0].to_string()
    }

    pub(crate) fn stop(&mut self, name: &str, reason: &str, order: StopOrder) -> Stopped {
        self.stop_in(StopScope::Anywhere, name, reason, order)
    }

    pub(crate) fn stop_in(
        &mut self,
        scope: StopScope,
        name: &str,
        reason: &str,
        order: StopOrder,
    ) -> Stopped {
        let (ticket, request, reason) = (self.ticket(), self.id(name), reason.to_owned());
        self.happens(Event::StopWanted { ticket, request, reason, order, scope });
        let Answer::Stopped(stopped) = self.answer(ticket) else { panic!("a stop is answered") };
        stopped
    }

    /// Gives something up, as ann does it, and returns what ended with where it may still run.
    pub(crate) fn give_up(&mut self, abandoned: Abandoned) -> Vec<String> {
        let (ticket, reason) = (self.ticket(), "given up by ann".to_owned());
        self.happens(Event::GiveUpWanted { ticket, abandoned, reason });
        let Answer::GivenUp(given_up) = self.answer(ticket) else { panic!("it is answered") };
        let line = |one: &GivenUp| match &one.remains_on {
            Some(worker) => format!("{} on {worker}", one.request),
            None => one.request.to_string(),
        };
        given_up.iter().map(line).collect()
    }

    pub(crate) fn id(&self, name: &str) -> RequestId {
        let found = self.requests.values().find(|request| request.name.to_string() == name);
        found.unwrap_or_else(|| panic!("no request {name}")).id
    }

    pub(crate) fn standing(&self, name: &str) -> Option<Standing> {
        self.engine.standing(self.id(name))
    }

    pub(crate) fn is_waiting(&self, name: &str) -> bool {
        matches!(self.standing(name), Some(Standing::Waiting { .. }))
    }

    /// Returns the names of all requests ever made, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.requests.values().map(|request| request.name.to_string()).collect()
    }

    /// Returns how a request ended, or `None` where it lives.
    pub(crate) fn end_of(&self, name: &str) -> Option<End> {
        match &self.requests[&self.id(name)].state {
            RequestState::Waiting | RequestState::Merged { .. } | RequestState::Running { .. } => {
                None
            }
            RequestState::Done { result, reason, exit_code, .. } => {
                Some(End { result: *result, exit_code: *exit_code, reason: reason.clone() })
            }
        }
    }

    pub(crate) fn build(&self, name: &str) -> &Build {
        let found = self.builds.values().find(|build| build.name.to_string() == name);
        found.unwrap_or_else(|| panic!("no build {name}"))
    }

    /// Returns the steps of a build with their states, such as `a SUCCESS, b running`.
    pub(crate) fn steps(&self, name: &str) -> String {
        let build = self.build(name);
        let steps = build.plan.steps.iter().zip(&build.steps).map(|(step, progress)| {
            let state = match progress.state {
                StepState::Waiting => "waiting",
                StepState::Blocked { .. } => "blocked",
                StepState::Running => "running",
                StepState::Done { result, .. } => result.word(),
            };
            format!("{} {state}", step.name)
        });
        steps.collect::<Vec<_>>().join(", ")
    }
}

/// Workers.
impl Yard {
    pub(crate) fn machine(&mut self, worker: &str) -> &mut Machine {
        self.machines.entry(named(worker)).or_insert_with(|| Machine {
            place: Place { boot_id: format!("{worker} boot"), spool_id: format!("{worker} spool") },
            stamp: None,
            is_deaf: false,
            readiness: Readiness::Ready,
            commands: BTreeMap::new(),
            starts: Vec::new(),
            stops: Vec::new(),
            forgotten: Vec::new(),
            left: Vec::new(),
            facts: Facts::default(),
        })
    }

    /// A worker connects and reports everything it has.
    pub(crate) fn attach(&mut self, worker: &str, max_builds: u32) -> Stamp {
        let stamp = Stamp { epoch: self.epoch, session: self.draw() };
        let machine = self.machine(worker);
        machine.stamp = Some(stamp);
        let place = machine.place.clone();
        let views = machine.commands.iter();
        let commands: Vec<ToMaster> = views
            .map(|(command, view)| ToMaster { command: *command, view: view.clone() })
            .collect();
        let (readiness, facts) = (machine.readiness, machine.facts.clone());
        let worker = named(worker);
        self.happens(Event::WorkerAttached {
            worker,
            stamp,
            place,
            max_builds,
            commands,
            readiness,
            facts,
        });
        stamp
    }

    /// The probes of an attached worker find something.
    pub(crate) fn probes(&mut self, worker: &str, found: &[(&str, Value)]) {
        let found = found.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let machine = self.machine(worker);
        machine.facts.probes = found.collect();
        let (stamp, probes) =
            (machine.stamp.expect("it is attached"), machine.facts.probes.clone());
        self.happens(Event::WorkerProbed { worker: named(worker), stamp, probes });
    }

    pub(crate) fn detach(&mut self, worker: &str) {
        let stamp = self.machine(worker).stamp.take().expect("it was attached");
        self.happens(Event::WorkerLost { worker: named(worker), stamp });
    }

    /// A worker that is connected changes its mind, and says so again on later connections.
    pub(crate) fn becomes(&mut self, worker: &str, readiness: Readiness) {
        let machine = self.machine(worker);
        machine.readiness = readiness;
        let stamp = machine.stamp.expect("it is attached");
        self.happens(Event::WorkerReadiness { worker: named(worker), stamp, readiness });
    }

    /// The machine is restarted, or its spool replaced: nothing is left of its commands.
    pub(crate) fn lose(&mut self, worker: &str, edit: fn(&mut Place)) {
        let machine = self.machine(worker);
        machine.commands.clear();
        edit(&mut machine.place);
    }

    /// Returns the command of a request that was sent or runs, with its worker.
    pub(crate) fn command(&self, name: &str) -> (CommandId, Name) {
        let build = self.build(name).id;
        let is_open =
            |state: &State| matches!(state, State::Assigned { .. } | State::Running { .. });
        let mut commands = self.engine.durable().commands();
        let found = commands.find(|command| command.build == build && is_open(&command.half.state));
        let command = found.unwrap_or_else(|| panic!("no command of {name} runs"));
        (command.id(), command.worker.clone())
    }

    /// The running command of a request ends; its worker tells if it can.
    pub(crate) fn ends(&mut self, name: &str, outcome: Outcome) {
        self.ends_with(name, outcome, None);
    }

    pub(crate) fn ends_with(
        &mut self,
        name: &str,
        outcome: Outcome,
        properties: Option<Properties>,
    ) {
        let (command, worker) = self.command(name);
        let view = View::Ended { outcome, log_bytes: 0, properties };
        let machine = self.machine(worker.as_str());
        machine.commands.insert(command, view.clone());
        if let Some(stamp) = machine.stamp {
            let report = ToMaster { command, view };
            self.happens(Event::Reported { worker, stamp, report });
        }
    }

    /// One of the commands that a machine runs ends, whether or not the master knows of it; its
    /// worker tells if it can.
    pub(crate) fn one_ends(&mut self, worker: &str, which: usize, code: i32) {
        let machine = self.machine(worker);
        let running = machine.commands.iter().filter(|(_, view)| **view == View::Running);
        let running: Vec<CommandId> = running.map(|(command, _)| *command).collect();
        let Some(command) = running.get(which % running.len().max(1)).copied() else { return };
        let view = View::Ended { outcome: Outcome::Exited(code), log_bytes: 0, properties: None };
        machine.commands.insert(command, view.clone());
        if let Some(stamp) = machine.stamp {
            let report = ToMaster { command, view };
            self.happens(Event::Reported { worker: named(worker), stamp, report });
        }
    }

    pub(crate) fn is_attached(&mut self, worker: &str) -> bool {
        self.machine(worker).stamp.is_some()
    }

    pub(crate) fn exits(&mut self, name: &str, code: i32) {
        self.ends(name, Outcome::Exited(code));
    }

    /// The running command of a request ends well, having left this.
    pub(crate) fn leaves(&mut self, name: &str, text: &str) {
        self.ends_with(name, Outcome::Exited(0), Some(Properties::Written(text.into())));
    }
}

pub(crate) fn launch(app: &str, wait: LaunchWait) -> LaunchOffer {
    LaunchOffer {
        source: named(SOURCE),
        app: named(app),
        args: vec![b"a b".to_vec(), vec![0xff]],
        env: vec![(b"DISPLAY".to_vec(), b":1".to_vec()), (b"LD_PRELOAD".to_vec(), b"x".to_vec())],
        offered: Offered::Somehow,
        cwd: b"/home/ann".to_vec(),
        host: "cae01".to_owned(),
        user: User { name: "ann".to_owned(), uid: Some(1000), ..User::default() },
        wait,
    }
}

#[track_caller]
pub(crate) fn accepted(answer: Answer) -> Accepted {
    let Answer::Accepted(accepted) = answer else { panic!("not accepted: {answer:?}") };
    accepted
}

/// Returns the code of a refusal.
#[track_caller]
pub(crate) fn refused(answer: Answer) -> &'static str {
    let Answer::Refused(refusal) = answer else { panic!("not refused: {answer:?}") };
    refusal.code
}
