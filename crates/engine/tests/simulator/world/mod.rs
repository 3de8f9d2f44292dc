//! The simulated yard: one master around the real engine, its database, machines and clients,
//! driven by a seed.

mod calm;
mod checks;
mod reload;
mod shell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use attempt::{CommandId, Stamp};
use config::Name;
use engine::settings::Settings;
use engine::{Abandoned, Departure, Engine, Event, Identity, Now, RequestId, StopScope};

use crate::clients::Clients;
use crate::database::Database;
use crate::host::rng::Rng;
use crate::machine::Machine;
use crate::mutant::Mutant;
use crate::yard::{self, MACHINES, named};

/// Living requests above which nobody submits more.
const MOST_LIVING: usize = 40;
const INCARNATION: u64 = 7;

/// Everything there is.
pub(crate) struct World {
    rng: Rng,
    has_faults: bool,
    mutant: Option<Mutant>,
    now: Now,
    /// As they were committed last.
    settings: Arc<Settings>,
    /// Every configuration that was to be taken, by its number.
    revisions: BTreeMap<i64, Arc<Settings>>,
    pub(crate) database: Database,
    engine: Engine,
    epoch: i64,
    sessions: i64,
    links: BTreeMap<Name, Stamp>,
    newest: BTreeMap<Name, Stamp>,
    /// Logs to be completed, with their length.
    seals: BTreeMap<CommandId, u64>,
    sent: BTreeMap<CommandId, Name>,
    /// Of orders that could not be made: nobody has told the engine yet.
    unsent: Vec<Event>,
    /// Given up on workers that were then taken from the configuration.
    written_off: BTreeSet<CommandId>,
    machines: BTreeMap<Name, Machine>,
    clients: Clients,
}

impl World {
    pub(crate) fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let settings = Arc::new(yard::settings());
        let now = Now { wall_us: 1_700_000_000_000_000, boot_us: 1_000_000 };
        let identity = Identity { incarnation: INCARNATION, epoch: 1 };
        let (engine, _) = Engine::restore(settings.clone(), identity, engine::Rows::default(), now);
        let machine = |(name, max_builds): &(&str, u32)| {
            (named(name), Machine::new(named(name), *max_builds))
        };
        Self {
            rng: Rng::new(seed),
            has_faults: true,
            mutant,
            now,
            settings: settings.clone(),
            revisions: [(0, settings)].into(),
            database: Database::default(),
            engine,
            epoch: 1,
            sessions: 0,
            links: BTreeMap::new(),
            newest: BTreeMap::new(),
            seals: BTreeMap::new(),
            sent: BTreeMap::new(),
            unsent: Vec::new(),
            written_off: BTreeSet::new(),
            machines: MACHINES.iter().map(machine).collect(),
            clients: Clients::default(),
        }
    }

    /// Lets the seed decide what happens next.
    pub(crate) fn step(&mut self) {
        self.pass_time();
        match self.rng.below(100) {
            0..10 => self.submit(),
            10..12 => self.poll(),
            12 if self.rng.permille(400) => self.stop_one(),
            13 if self.rng.permille(150) => self.give_up_one(),
            13 => self.prioritize_one(),
            14..20 => self.follow_one(),
            20..22 => self.leave_one(),
            22..36 => self.with_machine(|machine, rng| machine.hear(rng, 150)),
            36..54 => self.hear_workers(),
            54..70 => self.with_command(Machine::run),
            70..82 => self.with_command(|machine, command, _| machine.watch(command)),
            82..90 => self.stream_and_seal(),
            90..94 => self.connect_one(),
            94 => self.with_machine(Machine::cut),
            95 if self.rng.permille(500) => self.with_machine(Machine::kill_daemon),
            96 if self.rng.permille(200) => self.restart(),
            98 => self.tell_unsent(),
            97 if self.rng.permille(100) => self.reconfigure(),
            _ => self.rare_fault(),
        }
        self.check_step();
    }

    fn rare_fault(&mut self) {
        match self.rng.below(60) {
            0..2 => self.with_machine(Machine::reboot),
            2 => self.with_machine(Machine::lose_spool),
            3..8 => self.with_command(|machine, command, _| machine.host.kill_supervisor(command)),
            8..10 => self.now.wall_us += 90_000_000_000,
            10..12 => self.now.wall_us -= 50_000_000,
            12..30 => self.with_machine(Machine::cut_off),
            30 => self.suspend(),
            _ => {}
        }
    }

    /// The master's machine sleeps for a day.
    fn suspend(&mut self) {
        self.now.wall_us += 90_000_000_000;
        self.now.boot_us += 90_000_000_000;
    }

    /// One who could not make an order says so, perhaps long after.
    fn tell_unsent(&mut self) {
        if !self.unsent.is_empty() {
            let at = self.rng.index(self.unsent.len());
            let event = self.unsent.swap_remove(at);
            self.take(vec![event]);
        }
    }

    fn pass_time(&mut self) {
        let passed = match self.rng.below(200) {
            0 => 40_000_000,
            1..20 => 3_000_000,
            _ => 20_000,
        };
        self.now.wall_us += passed;
        self.now.boot_us += passed;
        let is_due = self.engine.deadline().is_some_and(|due| due <= self.now.boot_us);
        if is_due && self.mutant != Some(Mutant::LostWakeUp) {
            self.take(vec![Event::Due]);
        }
    }

    fn is_busy(&self) -> bool {
        self.engine.durable().requests().count() >= MOST_LIVING
    }

    fn poll(&mut self) {
        if !self.is_busy() {
            let poll = self.clients.poll(&mut self.rng, &self.engine);
            self.take(vec![poll]);
        }
    }

    fn submit(&mut self) {
        if self.is_busy() {
            return;
        }
        let mut batch = Vec::new();
        for _ in 0..=self.rng.below(3) {
            batch.extend(self.clients.submit(&mut self.rng, &self.database));
        }
        self.take(batch);
    }

    fn some_request(&mut self) -> Option<RequestId> {
        let living: Vec<_> = self.engine.durable().requests().map(|request| request.id).collect();
        self.rng.pick(&living).copied()
    }

    fn stop_one(&mut self) {
        // Sometimes one that is over.
        let over = self.database.requests.keys().next().copied();
        let request = if self.rng.permille(50) { over } else { self.some_request() };
        if let Some(request) = request {
            let in_queue = self.rng.permille(300);
            let scope = if in_queue { StopScope::Queue } else { StopScope::Anywhere };
            let stop = self.clients.stop(request, scope);
            self.take(vec![stop]);
        }
    }

    fn prioritize_one(&mut self) {
        if let Some(request) = self.some_request() {
            let priority = i32::try_from(self.rng.below(5)).expect("a small number") - 2;
            let prioritize = self.clients.prioritize(request, priority);
            self.take(vec![prioritize]);
        }
    }

    /// Somebody no longer waits for a build, or for a machine, whether it is away or not.
    fn give_up_one(&mut self) {
        let abandoned = if self.rng.permille(100) {
            let at = self.rng.index(self.machines.len());
            self.machines.keys().nth(at).cloned().map(Abandoned::Worker)
        } else {
            self.some_request().map(Abandoned::Request)
        };
        if let Some(abandoned) = abandoned {
            let give_up = self.clients.give_up(abandoned);
            self.take(vec![give_up]);
        }
    }

    fn follow_one(&mut self) {
        let back = self.clients.cut_off.pop_first();
        let Some(request) = back.or_else(|| self.some_request()) else { return };
        if self.clients.following.contains_key(&request) {
            return;
        }
        let epoch = self.epoch;
        self.take(vec![Event::FollowerCame { request }]);
        // Before the master has heard of it, it does not count among those the master knows.
        if epoch == self.epoch {
            self.clients.following.insert(request, false);
            self.clients.look(request, &self.database);
        } else {
            self.clients.cut_off.insert(request);
        }
    }

    fn leave_one(&mut self) {
        let following: Vec<_> = self.clients.following.keys().copied().collect();
        if let Some(request) = self.rng.pick(&following).copied() {
            self.leave(request);
        }
    }

    fn leave(&mut self, request: RequestId) {
        self.clients.following.remove(&request);
        let departures = [Departure::Farewell, Departure::Closed, Departure::Lost];
        let departure = departures[self.rng.index(departures.len())];
        self.take(vec![Event::FollowerLeft { request, departure }]);
    }

    fn hear_workers(&mut self) {
        let mut batch = Vec::new();
        for _ in 0..=self.rng.below(3) {
            let doubled = if self.has_faults { 150 } else { 0 };
            let at = self.rng.index(self.machines.len());
            let machine = self.machines.values_mut().nth(at).expect("it is below the number");
            batch.extend(machine.speak(&mut self.rng, doubled));
        }
        self.hear(batch);
    }

    fn hear(&mut self, batch: Vec<Event>) {
        for event in &batch {
            if let Event::WorkerLost { worker, stamp } = event
                && self.links.get(worker) == Some(stamp)
            {
                self.links.remove(worker);
            }
        }
        self.take(batch);
    }

    fn connect_one(&mut self) {
        self.sessions += 1;
        let stamp = Stamp { epoch: self.epoch, session: self.sessions };
        self.with_machine(|machine, rng| machine.connect(stamp, rng));
    }

    fn with_machine(&mut self, act: impl FnOnce(&mut Machine, &mut Rng)) {
        let at = self.rng.index(self.machines.len());
        let machine = self.machines.values_mut().nth(at).expect("it is below the number");
        act(machine, &mut self.rng);
    }

    fn with_command(&mut self, act: impl FnOnce(&mut Machine, CommandId, &mut Rng)) {
        self.with_machine(|machine, rng| {
            if let Some(command) = machine.some_command(rng) {
                act(machine, command, rng);
            }
        });
    }

    fn stream_and_seal(&mut self) {
        for machine in self.machines.values_mut() {
            machine.stream(self.links.get(&machine.name).copied());
        }
        let held = |command: &CommandId| {
            let logs = self.machines.values().filter_map(|machine| machine.logs.get(command));
            logs.copied().max().unwrap_or(0)
        };
        let is_hasty = self.mutant == Some(Mutant::SealTooEarly);
        let complete = self.seals.iter().filter(|(id, bytes)| is_hasty || held(id) >= **bytes);
        let complete: Vec<_> = complete.map(|(id, _)| *id).collect();
        for command in complete {
            self.seals.remove(&command);
            self.take(vec![Event::LogSealed { command }]);
        }
    }

    /// Returns how many commands ran.
    pub(crate) fn executed(&self) -> usize {
        let witnesses = self.machines.values().map(|machine| &machine.host.witness);
        witnesses.map(|witness| witness.executions.len()).sum()
    }
}
