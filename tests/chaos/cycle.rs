//! One cycle: launches, a fault in their midst, more launches, and everything is whole again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use e2e::Volume;
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

use crate::callers::Callers;
use crate::dice::Dice;
use crate::evidence::Kill;
use crate::fault::{Family, Fault};
use crate::fleet::Fleet;
use crate::job::Launch;
use crate::memory::Drift;
use crate::proxy::{Proxy, Side};
use crate::tree;

/// Numbers of launches that a cycle may use.
const LAUNCHES: u64 = 100;
/// A fault that needs a command or a client waits so long for one.
const TO_FIND: Duration = Duration::from_millis(500);
/// What a killed shim leaves behind is gone after this.
const TREE_PATIENCE: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(5);

/// What a cycle does, as the seed says.
#[derive(Debug)]
pub(crate) struct Cycle {
    before: Vec<Launch>,
    during: Vec<Launch>,
    fault: Fault,
    /// From the launches to the fault, and from the fault's end to the next cycle.
    pauses_ms: [u64; 2],
}

impl Cycle {
    /// Draws the cycle with a number.
    pub(crate) fn draw(seed: u64, number: u64, families: &[Family]) -> Self {
        let mut dice = Dice::new(seed, (number << 1) | 1);
        let mut next = number * LAUNCHES;
        let mut launches = |count: u64| {
            let first = next;
            next += count;
            (first..next).map(|id| Launch::draw(seed, id)).collect()
        };
        let before = launches(dice.between(3, 6));
        let during = launches(dice.between(0, 2));
        let family = *dice.pick(families);
        let fault = Fault::draw(family, &mut dice);
        let pauses_ms = [dice.between(0, 250), dice.between(0, 250)];
        Self { before, during, fault, pauses_ms }
    }

    /// Leaves the fault out.
    pub(crate) fn into_launches(self) -> Vec<Launch> {
        self.before.into_iter().chain(self.during).collect()
    }
}

/// What a run works with.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) fleet: Fleet,
    pub(crate) callers: Callers,
    /// Commands whose shims were killed.
    pub(crate) killed: BTreeMap<String, Kill>,
    pub(crate) spawners_killed: usize,
    /// What went wrong in front of our eyes.
    pub(crate) seen: Vec<String>,
    /// From the kill of a shim until its whole tree was gone.
    pub(crate) slowest_tree: Duration,
    /// How the daemons grew, where that was measured.
    pub(crate) drift: Drift,
}

impl Scene {
    pub(crate) fn new(fleet: Fleet) -> anyhow::Result<Self> {
        let callers = Callers::new(&fleet.yard)?;
        Ok(Self {
            fleet,
            callers,
            killed: BTreeMap::new(),
            spawners_killed: 0,
            seen: Vec::new(),
            slowest_tree: Duration::ZERO,
            drift: Drift::default(),
        })
    }

    /// Plays a cycle.
    pub(crate) fn play(&mut self, cycle: Cycle) -> anyhow::Result<()> {
        let Cycle { before, during, fault, pauses_ms: [first, last] } = cycle;
        self.launch(before)?;
        sleep(first);
        self.strike(fault, during)?;
        sleep(last);
        self.callers.reap()
    }

    fn launch(&mut self, launches: Vec<Launch>) -> anyhow::Result<()> {
        for launch in launches {
            self.callers.start(&self.fleet.yard, launch)?;
        }
        Ok(())
    }

    /// Lets a fault happen, launches meanwhile, and mends it.
    fn strike(&mut self, fault: Fault, during: Vec<Launch>) -> anyhow::Result<()> {
        let index = |worker: u64| usize::try_from(worker % 3).expect("it is below three");
        match fault {
            Fault::KillMaster { down_ms } => {
                self.fleet.kill_master();
                self.launch(during)?;
                sleep(down_ms);
            }
            Fault::StopMaster { down_ms } => {
                self.launch(during)?;
                self.fleet.stop_master();
                sleep(down_ms);
            }
            Fault::KillWorker { worker, down_ms } => {
                self.fleet.kill_worker(index(worker));
                self.launch(during)?;
                sleep(down_ms);
            }
            Fault::StopWorker { worker, down_ms } => {
                self.launch(during)?;
                self.fleet.stop_worker(index(worker));
                sleep(down_ms);
            }
            Fault::KillBoth { worker, down_ms } => {
                self.fleet.kill_worker(index(worker));
                self.fleet.kill_master();
                self.launch(during)?;
                sleep(down_ms);
            }
            Fault::PauseMaster { ms } => self.pause(self.fleet.master_pid(), ms, during)?,
            Fault::PauseWorker { worker, ms } => {
                self.pause(self.fleet.worker_pid(index(worker)), ms, during)?;
            }
            Fault::KillShim { nth } => {
                self.launch(during)?;
                self.kill_shim(nth)?;
            }
            Fault::PauseShim { nth, ms } => {
                let shim = self.find(|scene| nth_of(scene.fleet.shims().into_values(), nth));
                self.pause(shim, ms, during)?;
            }
            Fault::KillClients { nth, count } => {
                self.launch(during)?;
                for more in 0..count {
                    let pid = self.find(|scene| nth_of(scene.callers.open(), nth + more));
                    pid.into_iter().for_each(|pid| self.callers.kill(pid));
                }
            }
            Fault::PauseClient { nth, ms } => {
                let client = self.find(|scene| nth_of(scene.callers.open(), nth));
                self.pause(client, ms, during)?;
            }
            Fault::FullDisk { disk, ms } => {
                self.fleet.disk(disk).into_iter().for_each(Volume::fill);
                self.launch(during)?;
                sleep(ms);
                self.fleet.disk(disk).into_iter().for_each(Volume::free);
            }
            Fault::SickDisk { ailment, ms } => {
                self.fleet.sicken(ailment);
                self.launch(during)?;
                sleep(ms);
                self.fleet.cure(ailment)?;
            }
            Fault::CutPower { down_ms } => {
                self.launch(during)?;
                self.fleet.cut_power(Duration::from_millis(down_ms));
            }
            Fault::Reboot { down_ms } => {
                self.launch(during)?;
                let commands = self.fleet.reboot(Duration::from_millis(down_ms))?;
                let kill = Kill { at_us: wall_us(), is_whole: false };
                self.killed.extend(commands.into_iter().map(|command| (command, kill)));
            }
            Fault::SetClock { whose, seconds } => {
                self.fleet.set_clock(whose, seconds)?;
                self.launch(during)?;
            }
            Fault::Packets { loss, ms } => {
                self.fleet.lose(loss)?;
                self.launch(during)?;
                sleep(ms);
            }
            Fault::Cut { worker } => {
                self.fleet.proxy(index(worker)).into_iter().for_each(Proxy::cut);
                self.launch(during)?;
            }
            Fault::HalfOpen { worker, closed } => {
                self.launch(during)?;
                self.fleet.half_open(index(worker), closed);
            }
            Fault::Weather { worker, ms, from_worker, from_master } => {
                if let Some(proxy) = self.fleet.proxy(index(worker)) {
                    proxy.set(Side::Worker, from_worker);
                    proxy.set(Side::Master, from_master);
                }
                self.launch(during)?;
                sleep(ms);
            }
        }
        self.fleet.heal()
    }

    /// Waits a moment for what a fault needs.
    fn find<T>(&self, look: impl Fn(&Self) -> Option<T>) -> Option<T> {
        let begun = Instant::now();
        loop {
            let found = look(self);
            if found.is_some() || begun.elapsed() > TO_FIND {
                return found;
            }
            std::thread::sleep(GLANCE);
        }
    }

    fn pause(&mut self, pid: Option<Pid>, ms: u64, during: Vec<Launch>) -> anyhow::Result<()> {
        let Some(pid) = pid else { return self.launch(during) };
        // A shim or a client may have ended by now.
        if kill_process(pid, Signal::STOP).is_err() {
            return self.launch(during);
        }
        // Starting clients waits for others to end, and they may wait for who is stopped.
        sleep(ms);
        let _has_ended = kill_process(pid, Signal::CONT).is_err();
        self.launch(during)
    }

    fn kill_shim(&mut self, nth: u64) -> anyhow::Result<()> {
        let found = self.find(|scene| nth_of(scene.fleet.shims(), nth));
        let Some((command, shim)) = found else { return Ok(()) };
        let is_whole = self.fleet.is_whole();
        let at_us = wall_us();
        if kill_process(shim, Signal::KILL).is_err() {
            // It had ended by itself.
            return Ok(());
        }
        self.killed.insert(command.clone(), Kill { at_us, is_whole });
        match tree::await_end(&command, TREE_PATIENCE) {
            Some(took) => self.slowest_tree = self.slowest_tree.max(took),
            None => self.seen.push(format!("processes of command {command} outlive their shim")),
        }
        Ok(())
    }

    /// Breaks the network for long enough that the master has to notice, while commands run.
    pub(crate) fn go_silent(&mut self, launches: Vec<Launch>) -> anyhow::Result<()> {
        self.fleet.heal()?;
        self.launch(launches)?;
        self.fleet.time_silence()
    }

    /// Lets all callers and all commands come to their ends.
    pub(crate) fn settle(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.fleet.heal()?;
        if !self.callers.finish(patience).context("wait for clients")? {
            self.seen.push(format!("{} clients never ended", self.callers.open().len()));
        }
        if !self.fleet.settle(patience) {
            self.seen.push(format!("{} commands stay in spools", self.fleet.spooled()));
        }
        Ok(())
    }
}

fn nth_of<T>(list: impl IntoIterator<Item = T>, nth: u64) -> Option<T> {
    let mut list: Vec<T> = list.into_iter().collect();
    let count = list.len() as u64;
    let index = usize::try_from(nth.checked_rem(count)?).ok()?;
    Some(list.swap_remove(index))
}

fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Returns the wall clock, in µs since 1970, as the database has it.
pub(crate) fn wall_us() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}
