//! Both halves of commands' lives against each other: through a network that loses, doubles and
//! reorders, with crashes, reboots and lost spools, over many seeds.
//!
//! After every step: a command id was executed at most once, a committed outcome never changes
//! and is the true one, a log is sealed only when it is complete, a spool entry goes only when its
//! log is safe. When the faults stop, every command is sealed and the spool is empty.

mod host;

use std::collections::BTreeMap;

use attempt::master::{self, Command, Input, Output, State};
use attempt::{
    CommandId, LostReason, Outcome, Place, Properties, Stamp, StopOrder, ToMaster, ToWorker, View,
};
use host::rng::Rng;
use host::{Host, Stage};

const SEEDS: u64 = 400;
const STEPS: u32 = 4_000;
/// Rounds within which everything is sealed once the faults stopped.
const CALM_ROUNDS: u32 = 200;
const TERM: StopOrder = StopOrder { signal: 15, grace_ms: 1_000 };

/// What travels to the master.
#[derive(Debug, Clone)]
enum Word {
    /// The first word of a connection; never doubled, and nothing overtakes it.
    Attached(Stamp, Place, Vec<ToMaster>),
    Report(Stamp, ToMaster),
}

/// How a master's step ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Completed,
    /// Nothing of it is on disk.
    CrashedBeforeCommit,
    /// It is on disk, and nothing was sent.
    CrashedBeforeAct,
}

struct World {
    rng: Rng,
    has_faults: bool,
    // The master.
    epoch: i64,
    sessions: i64,
    disk: BTreeMap<CommandId, Command>,
    live: BTreeMap<CommandId, Command>,
    link: Option<Stamp>,
    /// Logs to be completed, with their length.
    seals: BTreeMap<CommandId, u64>,
    logs: BTreeMap<CommandId, u64>,
    // The network.
    to_worker: Vec<ToWorker>,
    to_master: Vec<Word>,
    worker_link: Option<Stamp>,
    // The worker.
    host: Host,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            has_faults: true,
            epoch: 1,
            sessions: 0,
            disk: BTreeMap::new(),
            live: BTreeMap::new(),
            link: None,
            seals: BTreeMap::new(),
            logs: BTreeMap::new(),
            to_worker: Vec::new(),
            to_master: Vec::new(),
            worker_link: None,
            host: Host::new("w"),
        }
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..8 => self.assign(),
            8..11 => self.stop_one(),
            11 => self.give_up_one(),
            12..30 => self.deliver_to_worker(),
            30..48 => self.deliver_to_master(),
            48..64 => self.supervise_one(),
            64..78 => self.watch_one(),
            78..84 => self.stream_and_seal(),
            84..90 => self.connect(),
            90..93 => self.disconnect(),
            93 => self.old_master_calls(),
            94 => self.host.kill_daemon(),
            95 => self.crash(),
            _ => self.rare_fault(),
        }
    }

    fn rare_fault(&mut self) {
        match self.rng.below(60) {
            0..2 => self.host.reboot(),
            2 => self.host.lose_spool(),
            3..8 => {
                if let Some(command) = self.spooled() {
                    self.host.kill_supervisor(command);
                }
            }
            _ => {}
        }
    }

    // ---- the master

    fn assign(&mut self) {
        // A master assigns only to a worker that is attached, at the place it attached from.
        let Some(link) = self.link else { return };
        if self.live.len() >= 6 || self.worker_link != Some(link) {
            return;
        }
        let counter = i64::try_from(self.disk.len()).expect("few commands") + 1;
        let id = CommandId { incarnation: 7, counter };
        let command = Command::assigned(id, self.host.place());
        let outputs = command.start(self.link);
        self.commit_and_act(command, outputs);
    }

    fn stop_one(&mut self) {
        let living: Vec<_> = self.live.keys().copied().collect();
        if let Some(id) = self.rng.pick(&living).copied() {
            self.drive(id, Input::Stop(TERM));
        }
    }

    fn give_up_one(&mut self) {
        let living: Vec<_> = self.live.keys().copied().collect();
        if let Some(id) = self.rng.pick(&living).copied()
            && self.rng.permille(100)
        {
            self.drive(id, Input::GiveUp);
        }
    }

    fn drive(&mut self, id: CommandId, input: Input<'_>) {
        let Some(mut command) = self.live.get(&id).cloned() else { return };
        let outputs = command.handle(input, self.link);
        self.commit_and_act(command, outputs);
    }

    fn commit_and_act(&mut self, command: Command, outputs: Vec<Output>) {
        let fate = match self.rng.below(60) {
            0 if self.has_faults => Fate::CrashedBeforeCommit,
            1 if self.has_faults => Fate::CrashedBeforeAct,
            _ => Fate::Completed,
        };
        if fate == Fate::CrashedBeforeCommit {
            return self.crash();
        }
        self.check_transition(&command);
        let id = command.id;
        for output in &outputs {
            self.check_left(id, output);
        }
        self.disk.insert(id, command.clone());
        self.live.insert(id, command);
        if fate == Fate::CrashedBeforeAct {
            return self.crash();
        }
        for output in outputs {
            match output {
                Output::Send(message) => self.to_worker.push(message),
                Output::Began => {}
                Output::Ended { .. } | Output::LogCut | Output::Accounted => self.ask_seal(id),
            }
        }
        if matches!(self.live[&id].state, State::Sealed { .. }) {
            self.live.remove(&id);
        }
    }

    fn ask_seal(&mut self, id: CommandId) {
        if let State::Ended { log_bytes, .. } = self.live[&id].state {
            self.seals.insert(id, log_bytes);
        }
    }

    /// The master dies and comes back with what is on disk.
    fn crash(&mut self) {
        self.epoch += 1;
        self.link = None;
        self.live = self.disk.clone();
        self.live.retain(|_, command| !matches!(command.state, State::Sealed { .. }));
        self.seals.clear();
        for id in self.live.keys().copied().collect::<Vec<_>>() {
            self.ask_seal(id);
        }
    }

    fn attached(&mut self, stamp: Stamp, place: &Place, reports: &[ToMaster]) {
        if self.link.is_some_and(|link| link > stamp) || stamp.epoch != self.epoch {
            return;
        }
        self.link = Some(stamp);
        for id in self.live.keys().copied().collect::<Vec<_>>() {
            let view = reports.iter().find(|report| report.command == id).map(|r| &r.view);
            self.drive(id, Input::Attached { place, view });
            if self.link != Some(stamp) {
                return;
            }
        }
        for report in reports {
            self.disown_if_unknown(stamp, report);
        }
    }

    fn disown_if_unknown(&mut self, stamp: Stamp, report: &ToMaster) {
        if !self.live.contains_key(&report.command) {
            self.to_worker.push(master::disown(report.command, &report.view, stamp));
        }
    }

    // ---- the network

    fn connect(&mut self) {
        self.disconnect();
        if self.host.daemon.is_none() {
            self.host.start_daemon();
        }
        self.sessions += 1;
        let stamp = Stamp { epoch: self.epoch, session: self.sessions };
        let reports = self.host.welcomed(stamp).expect("no epoch is higher than the newest");
        self.worker_link = Some(stamp);
        self.to_master.push(Word::Attached(stamp, self.host.place(), reports));
    }

    /// Some of what is under way is lost; the rest may still arrive, late.
    fn disconnect(&mut self) {
        self.worker_link = None;
        self.host.disconnected();
        let kept = self.rng.below(1_000);
        let rng = &mut self.rng;
        self.to_worker.retain(|_| rng.permille(kept));
        self.to_master.retain(|_| rng.permille(kept));
    }

    /// A master that was replaced and does not know it yet.
    fn old_master_calls(&mut self) {
        if self.epoch == 1 || self.host.daemon.is_none() {
            return;
        }
        self.disconnect();
        let newest = self.epoch;
        let has_seen = self.host.stored_epoch() >= newest;
        let stamp = Stamp { epoch: newest - 1, session: 1_000_000 };
        let welcome = self.host.welcomed(stamp);
        assert!(!has_seen || welcome.is_none(), "a worker that saw epoch {newest} went back");
        self.host.disconnected();
    }

    fn deliver_to_worker(&mut self) {
        if self.to_worker.is_empty() || self.host.daemon.is_none() {
            return;
        }
        let at = self.rng.index(self.to_worker.len());
        let is_doubled = self.has_faults && self.rng.permille(150);
        let message = if is_doubled { self.to_worker[at] } else { self.to_worker.swap_remove(at) };
        let said = self.host.receive(message);
        self.say(said);
    }

    fn say(&mut self, said: Vec<ToMaster>) {
        if let Some(stamp) = self.worker_link {
            self.to_master.extend(said.into_iter().map(|report| Word::Report(stamp, report)));
        }
    }

    fn deliver_to_master(&mut self) {
        if self.to_master.is_empty() {
            return;
        }
        let first = |word: &Word| matches!(word, Word::Attached(..));
        let at = self.to_master.iter().position(first);
        let at = at.unwrap_or_else(|| self.rng.index(self.to_master.len()));
        let is_doubled = self.has_faults && self.rng.permille(150);
        match self.to_master[at].clone() {
            Word::Attached(stamp, place, reports) => {
                self.to_master.swap_remove(at);
                self.attached(stamp, &place, &reports);
            }
            Word::Report(stamp, report) => {
                if !is_doubled {
                    self.to_master.swap_remove(at);
                }
                if self.link != Some(stamp) {
                    return;
                }
                if self.live.contains_key(&report.command) {
                    self.drive(report.command, Input::Reported(&report.view));
                } else {
                    self.disown_if_unknown(stamp, &report);
                }
            }
        }
    }

    // ---- the worker's machine

    fn spooled(&mut self) -> Option<CommandId> {
        let known: Vec<_> = self.host.spool.keys().copied().collect();
        self.rng.pick(&known).copied()
    }

    fn supervise_one(&mut self) {
        if let Some(command) = self.spooled() {
            self.supervise(command);
        }
    }

    fn supervise(&mut self, command: CommandId) {
        let is_stopped = self.host.spool[&command].is_stopped;
        // Every third command ends only when it is told to.
        let ends_itself = command.counter % 3 != 0;
        let end = if is_stopped {
            Some(Outcome::Signal(15))
        } else if ends_itself && self.rng.permille(400) {
            Some(Outcome::Exited(i32::from(self.rng.permille(300))))
        } else {
            None
        };
        let wrote = self.rng.below(100);
        let left = match command.counter % 5 {
            0 => None,
            1 => Some(Properties::Missing("there is no such file".to_owned())),
            _ => Some(Properties::Written(command.counter.to_string().into_bytes())),
        };
        self.host.supervise(command, wrote, end.map(|outcome| (outcome, left)));
        let executions = self.host.witness.executions.get(&command).copied().unwrap_or(0);
        assert!(executions <= 1, "{command} was executed {executions} times");
        if executions == 1
            && let Some(Outcome::Cancelled | Outcome::NotStarted(_)) =
                self.disk.get(&command).and_then(Command::outcome)
        {
            panic!("{command} runs, and the master promised that it never did");
        }
    }

    fn watch_one(&mut self) {
        if let Some(command) = self.spooled() {
            let said = self.host.watch(command);
            self.say(said);
        }
    }

    /// Log bytes flow while both ends agree on the connection; complete logs are sealed.
    fn stream_and_seal(&mut self) {
        if self.link.is_some() && self.link == self.worker_link {
            for (id, entry) in &self.host.spool {
                self.logs.insert(*id, entry.log_bytes);
            }
        }
        let complete = |(id, bytes): (&CommandId, &u64)| {
            (self.logs.get(id).copied().unwrap_or(0) >= *bytes).then_some(*id)
        };
        for id in self.seals.iter().filter_map(complete).collect::<Vec<_>>() {
            self.drive(id, Input::LogSealed);
        }
    }

    // ---- the checks

    fn check_transition(&self, new: &Command) {
        let Some(old) = self.disk.get(&new.id) else { return };
        let id = new.id;
        if let Some(outcome) = old.outcome() {
            assert_eq!(Some(outcome), new.outcome(), "the outcome of {id} changed");
        }
        let had_stop = matches!(
            old.state,
            State::Assigned { stop: Some(_) } | State::Running { stop: Some(_) }
        );
        let lost_stop =
            matches!(new.state, State::Assigned { stop: None } | State::Running { stop: None });
        assert!(!(had_stop && lost_stop), "a stop of {id} was forgotten");
        if old.outcome().is_none()
            && let Some(outcome) = new.outcome()
        {
            self.check_truth(id, outcome);
        }
        if old.is_unaccounted() && !new.is_unaccounted() {
            let runs = self.host.spool.get(&id).is_some_and(|entry| entry.is_supervised);
            assert!(!runs, "{id} runs, and nobody holds its place");
        }
        let had_end =
            matches!(old.state, State::Ended { .. } | State::GivenUp | State::LogGivenUp { .. });
        if matches!(new.state, State::Sealed { .. }) && !had_end {
            let said = self.host.spool.get(&id).map_or(0, |entry| entry.log_bytes);
            assert_eq!(said, 0, "{id} was sealed before its end, and it has a log");
        }
    }

    fn check_truth(&self, id: CommandId, outcome: &Outcome) {
        let witness = &self.host.witness;
        match outcome {
            Outcome::Lost(_) => {}
            Outcome::Cancelled | Outcome::NotStarted(_) | Outcome::Unsent(_) => {
                assert!(!witness.executions.contains_key(&id), "{id} ran, yet it is {outcome}");
            }
            Outcome::Exited(_)
            | Outcome::Signal(_)
            | Outcome::Timeout
            | Outcome::OutOfMemory
            | Outcome::ProcessLimit => {
                assert_eq!(witness.ends.get(&id), Some(outcome), "the true end of {id}");
            }
        }
    }

    /// What a command left is told with its true end, whole, and with nothing else.
    fn check_left(&self, id: CommandId, output: &Output) {
        let Output::Ended { outcome, properties } = output else { return };
        let witness = &self.host.witness;
        let is_true = witness.ends.get(&id) == Some(outcome);
        let left = witness.left.get(&id).filter(|_| is_true);
        assert_eq!(properties.as_ref(), left, "what {id} left, which ended with {outcome}");
    }

    fn check_deleted(&mut self) {
        for (id, log_bytes) in std::mem::take(&mut self.host.deleted) {
            let outcome = self.disk.get(&id).and_then(Command::outcome);
            // What a worker says of a lost command may be less than there was; one that was given
            // up and came back is told whole.
            let is_whole = match outcome {
                Some(Outcome::Lost(reason)) => *reason == LostReason::GivenUp,
                Some(_) | None => true,
            };
            if is_whole {
                let safe = self.logs.get(&id).copied().unwrap_or(0);
                assert!(safe >= log_bytes, "{safe} of {log_bytes} bytes of {id} were kept");
            }
        }
    }

    /// Commands whose stop is sent right after their start and may overtake it. Nothing is lost any
    /// more, so that one stop has to do.
    fn assign_and_stop(&mut self) {
        let before: Vec<_> = self.live.keys().copied().collect();
        for _ in 0..3 {
            self.assign();
        }
        for id in self.live.keys().copied().collect::<Vec<_>>() {
            if !before.contains(&id) {
                self.drive(id, Input::Stop(TERM));
            }
        }
    }

    /// Ends what would go on for ever, and says it once.
    fn stop_unstopped(&mut self) {
        let is_unstopped = |command: &Command| {
            matches!(command.state, State::Assigned { stop: None } | State::Running { stop: None })
        };
        let living = self.live.iter().filter(|(_, command)| is_unstopped(command));
        for id in living.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.drive(id, Input::Stop(TERM));
        }
    }

    /// No more faults: everything has to come to its end.
    fn calm_down(&mut self) {
        self.has_faults = false;
        self.connect();
        for round in 0.. {
            while !self.to_master.is_empty() {
                self.deliver_to_master();
            }
            if self.live.is_empty() && self.host.spool.is_empty() && self.to_worker.is_empty() {
                return;
            }
            assert!(round < CALM_ROUNDS, "not at rest: {:?} {:?}", self.live, self.host.spool);
            match round {
                0 => self.assign_and_stop(),
                20 => self.stop_unstopped(),
                _ => {}
            }
            while !self.to_worker.is_empty() {
                self.deliver_to_worker();
            }
            for command in self.host.spool.keys().copied().collect::<Vec<_>>() {
                self.supervise(command);
                let said = self.host.watch(command);
                self.say(said);
            }
            self.stream_and_seal();
            self.check_deleted();
        }
    }
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
        world.check_deleted();
    }
    world.calm_down();
    let sealed = |command: &Command| matches!(command.state, State::Sealed { .. });
    assert!(world.disk.values().all(sealed), "not all is sealed: {:?}", world.disk);
    world
}

#[test]
fn every_command_runs_at_most_once_and_comes_to_its_true_end() {
    let (mut executed, mut ended, mut lost, mut given_up) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let world = std::panic::catch_unwind(|| run(seed))
            .unwrap_or_else(|_| panic!("seed {seed} failed; the reason stands above"));
        executed += world.host.witness.executions.len();
        ended += world.disk.len();
        for command in world.disk.values() {
            match command.outcome() {
                Some(Outcome::Lost(LostReason::GivenUp)) => given_up += 1,
                Some(Outcome::Lost(_)) => lost += 1,
                Some(_) | None => {}
            }
        }
    }
    // A run in which nothing happens, or in which everything is given up, proves nothing.
    assert!(executed > 10_000, "only {executed} commands were executed");
    assert!(lost * 4 < ended, "{lost} of {ended} commands were lost");
    assert!(given_up > 1_000, "only {given_up} commands were given up");
}

#[test]
fn a_log_whose_rest_went_with_the_spool_is_sealed_as_it_is() {
    let place = |spool: &str| Place { boot_id: "b".into(), spool_id: spool.into() };
    let link = Some(Stamp { epoch: 1, session: 1 });
    let id = CommandId { incarnation: 1, counter: 1 };
    let mut command = Command::assigned(id, place("first"));
    let view = View::Ended { outcome: Outcome::Exited(0), log_bytes: 10, properties: None };
    command.handle(Input::Reported(&view), link);
    assert_eq!(
        command.state,
        State::Ended { outcome: Outcome::Exited(0), log_bytes: 10 },
        "the log is still to come"
    );
    let outputs = command.handle(Input::Attached { place: &place("second"), view: None }, link);
    assert_ne!(outputs, [], "whoever waits for the log has to hear that it will not come");
    assert_eq!(command.state, State::Ended { outcome: Outcome::Exited(0), log_bytes: 0 });
}

#[test]
fn a_witnessed_execution_is_never_taken_for_a_cancelled_one() {
    let mut host = Host::new("w");
    let id = CommandId { incarnation: 1, counter: 1 };
    let stamp = Stamp { epoch: 1, session: 1 };
    host.start_daemon();
    assert_eq!(host.welcomed(stamp), Some(Vec::new()));
    assert_eq!(host.receive(ToWorker::Start { stamp, command: id }), []);
    host.supervise(id, 0, None);
    assert_eq!(host.spool[&id].stage, Stage::Running);
    host.kill_daemon();
    host.kill_supervisor(id);
    host.start_daemon();
    let lost = View::Ended {
        outcome: Outcome::Lost(LostReason::Supervisor),
        log_bytes: 0,
        properties: None,
    };
    let next = Stamp { epoch: 1, session: 2 };
    assert_eq!(host.welcomed(next), Some(vec![ToMaster { command: id, view: lost }]));
}

#[test]
fn the_end_of_a_command_that_said_nothing_is_final_at_once() {
    let place = Place { boot_id: "boot".to_owned(), spool_id: "spool".to_owned() };
    let link = Stamp { epoch: 1, session: 1 };
    let id = CommandId { incarnation: 7, counter: 1 };
    let mut command = Command::assigned(id, place);
    let view = View::Ended { outcome: Outcome::Exited(0), log_bytes: 0, properties: None };
    let outputs = command.handle(Input::Reported(&view), Some(link));
    assert_eq!(command.state, State::Sealed { outcome: Outcome::Exited(0) });
    let ack = Output::Send(ToWorker::FinalAck { stamp: link, command: id });
    assert_eq!(
        outputs,
        [
            Output::Began,
            Output::Ended { outcome: Outcome::Exited(0), properties: None },
            ack.clone()
        ]
    );
    // The worker's power failed before its disk had the end.
    let lost =
        View::Ended { outcome: Outcome::Lost(LostReason::Reboot), log_bytes: 0, properties: None };
    assert_eq!(command.handle(Input::Reported(&lost), Some(link)), [ack]);
    assert_eq!(command.state, State::Sealed { outcome: Outcome::Exited(0) });
}
