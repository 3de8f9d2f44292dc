//! A worker's machine with its connection: what is under way in both directions, and the bytes
//! of its logs that reached the master.

use std::collections::{BTreeMap, BTreeSet};

use attempt::{CommandId, Outcome, Place, Properties, Stamp, ToMaster, ToWorker};
use config::Name;
use engine::{Event, Readiness, StartOrder};

use crate::host::rng::Rng;
use crate::host::{Host, Stage};
use crate::yard::Program;

/// What travels to the master.
#[derive(Debug, Clone)]
enum Word {
    /// The first word of a connection.
    Attached(Stamp, Place, Vec<ToMaster>),
    Report(Stamp, ToMaster),
    /// The connection broke; the last word of it.
    Lost(Stamp),
}

impl Word {
    fn stamp(&self) -> Stamp {
        match self {
            Self::Attached(stamp, ..) | Self::Report(stamp, _) | Self::Lost(stamp) => *stamp,
        }
    }
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: Name,
    pub(crate) max_builds: u32,
    pub(crate) host: Host,
    /// The connection as the worker sees it.
    pub(crate) link: Option<Stamp>,
    /// The connection stands and nothing comes through, either way.
    is_cut_off: bool,
    /// What the master's log files hold, in bytes.
    pub(crate) logs: BTreeMap<CommandId, u64>,
    programs: BTreeMap<CommandId, Program>,
    /// Commands that were asked to leave properties.
    asked: BTreeSet<CommandId>,
    to_worker: Vec<ToWorker>,
    to_master: Vec<Word>,
}

impl Machine {
    pub(crate) fn new(name: Name, max_builds: u32) -> Self {
        Self {
            host: Host::new(name.as_str()),
            name,
            max_builds,
            link: None,
            is_cut_off: false,
            logs: BTreeMap::new(),
            programs: BTreeMap::new(),
            asked: BTreeSet::new(),
            to_worker: Vec::new(),
            to_master: Vec::new(),
        }
    }

    /// A new connection under the stamp the master gave it.
    pub(crate) fn connect(&mut self, stamp: Stamp, rng: &mut Rng) {
        self.cut(rng);
        self.is_cut_off = false;
        if self.host.daemon.is_none() {
            self.host.start_daemon();
        }
        let reports = self.host.welcomed(stamp).expect("no epoch is higher than the newest");
        self.link = Some(stamp);
        self.to_master.push(Word::Attached(stamp, self.host.place(), reports));
    }

    /// The connection breaks. Some of what is under way is lost, the rest may arrive late.
    pub(crate) fn cut(&mut self, rng: &mut Rng) {
        let Some(stamp) = self.link.take() else { return };
        self.host.disconnected();
        let kept = rng.below(1_000);
        self.to_worker.retain(|_| rng.permille(kept));
        self.to_master.retain(|word| match word {
            Word::Report(..) => rng.permille(kept),
            Word::Attached(..) | Word::Lost(_) => true,
        });
        self.to_master.push(Word::Lost(stamp));
    }

    /// A partition: both ends think they are connected. It ends with the connection, or heals.
    pub(crate) fn cut_off(&mut self, rng: &mut Rng) {
        self.is_cut_off = rng.permille(600);
    }

    /// Ends a partition.
    pub(crate) fn heal(&mut self) {
        self.is_cut_off = false;
    }

    /// The master died: nobody hears what is under way to it.
    pub(crate) fn master_died(&mut self, rng: &mut Rng) {
        self.cut(rng);
        self.to_master.clear();
    }

    /// Power off and on.
    pub(crate) fn reboot(&mut self, rng: &mut Rng) {
        self.cut(rng);
        self.host.reboot();
    }

    /// The disk with the spool is replaced.
    pub(crate) fn lose_spool(&mut self, rng: &mut Rng) {
        self.cut(rng);
        self.host.lose_spool();
    }

    pub(crate) fn kill_daemon(&mut self, rng: &mut Rng) {
        self.cut(rng);
        self.host.kill_daemon();
    }

    /// The master sends something on a connection.
    pub(crate) fn send(&mut self, stamp: Stamp, message: ToWorker) {
        if self.link == Some(stamp) {
            self.to_worker.push(message);
        }
    }

    /// Notes what a command is going to do.
    pub(crate) fn note(&mut self, order: &StartOrder) {
        self.programs.insert(order.command, Program::of(&order.argv));
        if order.properties_file.is_some() {
            self.asked.insert(order.command);
        }
    }

    /// What a command leaves: sometimes what is none of its business, or nonsense.
    fn leaves(&self, command: CommandId, rng: &mut Rng) -> Option<Properties> {
        let written = |text: String| Some(Properties::Written(text.into_bytes()));
        match rng.below(12) {
            _ if !self.asked.contains(&command) => None,
            0 => Some(Properties::Missing("it wrote none".to_owned())),
            1 => written("{".to_owned()),
            2 => written(r#"{"owner": "root"}"#.to_owned()),
            3 => written("{}".to_owned()),
            _ => written(format!(r#"{{"level": "{}"}}"#, command.counter)),
        }
    }

    /// Delivers one message to the worker, in any order, sometimes twice.
    pub(crate) fn hear(&mut self, rng: &mut Rng, doubled_permille: u64) {
        if self.to_worker.is_empty() || self.host.daemon.is_none() || self.is_cut_off {
            return;
        }
        let at = rng.index(self.to_worker.len());
        let is_doubled = rng.permille(doubled_permille);
        let message = if is_doubled { self.to_worker[at] } else { self.to_worker.swap_remove(at) };
        let said = self.host.receive(message);
        self.say(said);
    }

    fn say(&mut self, said: Vec<ToMaster>) {
        if let Some(stamp) = self.link {
            self.to_master.extend(said.into_iter().map(|report| Word::Report(stamp, report)));
        }
    }

    /// Takes one word for the master: any, but a connection's first before and its last after
    /// all others of it.
    pub(crate) fn speak(&mut self, rng: &mut Rng, doubled_permille: u64) -> Option<Event> {
        if self.to_master.is_empty() || self.is_cut_off {
            return None;
        }
        let stamp = self.to_master[rng.index(self.to_master.len())].stamp();
        let of_it: Vec<usize> =
            (0..self.to_master.len()).filter(|at| self.to_master[*at].stamp() == stamp).collect();
        let is_report = |at: &usize| matches!(self.to_master[*at], Word::Report(..));
        let first = of_it.iter().find(|at| matches!(self.to_master[**at], Word::Attached(..)));
        let reports: Vec<usize> = of_it.iter().copied().filter(is_report).collect();
        let at = first.or_else(|| rng.pick(&reports)).or_else(|| of_it.first()).copied()?;
        let worker = self.name.clone();
        if rng.permille(doubled_permille)
            && let Word::Report(stamp, report) = self.to_master[at].clone()
        {
            return Some(Event::Reported { worker, stamp, report });
        }
        Some(match self.to_master.remove(at) {
            Word::Attached(stamp, place, commands) => {
                let max_builds = self.max_builds;
                let readiness = Readiness::Ready;
                let facts = engine::Facts::default();
                Event::WorkerAttached {
                    worker,
                    stamp,
                    place,
                    max_builds,
                    commands,
                    readiness,
                    facts,
                }
            }
            Word::Report(stamp, report) => Event::Reported { worker, stamp, report },
            Word::Lost(stamp) => Event::WorkerLost { worker, stamp },
        })
    }

    /// Draws one of the commands in the spool.
    pub(crate) fn some_command(&self, rng: &mut Rng) -> Option<CommandId> {
        let known: Vec<_> = self.host.spool.keys().copied().collect();
        rng.pick(&known).copied()
    }

    /// A command goes on a little.
    pub(crate) fn run(&mut self, command: CommandId, rng: &mut Rng) {
        let Some(entry) = self.host.spool.get(&command) else { return };
        let program = self.programs.get(&command).copied().unwrap_or(Program::Fine);
        let end = match program {
            _ if entry.is_stopped => Some(Outcome::Signal(15)),
            Program::Endless => None,
            Program::Fine | Program::Flaky if rng.permille(500) => None,
            Program::Flaky if rng.permille(300) => {
                Some(Outcome::Exited(*rng.pick(&[3, 4, 5]).expect("there are some")))
            }
            Program::Flaky if rng.permille(50) => Some(Outcome::Timeout),
            Program::Fine | Program::Flaky => Some(Outcome::Exited(0)),
        };
        let wrote = rng.below(100);
        let left = self.leaves(command, rng);
        self.host.supervise(command, wrote, end.map(|outcome| (outcome, left)));
        let executions = self.host.witness.executions.get(&command).copied().unwrap_or(0);
        assert!(executions <= 1, "{command} was executed {executions} times");
        let running = self
            .host
            .spool
            .values()
            .filter(|entry| entry.is_supervised && entry.stage == Stage::Running);
        let running = u32::try_from(running.count()).expect("a few");
        assert!(running <= self.max_builds, "{} runs {running} commands at once", self.name);
    }

    /// The daemon looks at a command.
    pub(crate) fn watch(&mut self, command: CommandId) {
        let said = self.host.watch(command);
        self.say(said);
    }

    /// Log bytes flow to the master on a connection both ends agree on.
    pub(crate) fn stream(&mut self, master_sees: Option<Stamp>) {
        if self.link.is_none() || self.link != master_sees || self.is_cut_off {
            return;
        }
        for (command, entry) in &self.host.spool {
            let log = self.logs.entry(*command).or_default();
            *log = entry.log_bytes.max(*log);
        }
    }

    /// Whether nothing is left to happen here.
    pub(crate) fn is_quiet(&self) -> bool {
        self.host.spool.is_empty() && self.to_worker.is_empty() && self.to_master.is_empty()
    }
}
