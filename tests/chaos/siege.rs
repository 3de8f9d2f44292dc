//! `chaos --failpoints`: every failpoint is a trap twice, for who comes first and for a later one;
//! those of the master on both databases.
//!
//! A few yards share the traps. In each one trap is laid at a time; launches go on, and
//! what brings processes there is done until somebody is caught. Then everything is started again
//! and the next one is laid. At the end each yard is judged as any run is; a trap that nobody
//! came to is a finding.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use e2e::Build;
use failpoint::{Act, Process, Side};
use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::baseline::Baseline;
use crate::cycle::{Scene, wall_us};
use crate::dice::Dice;
use crate::evidence::Kill;
use crate::fleet::{Clocks, Disks, Fleet, Grounds, Pushes, State, Wiring};
use crate::job::{App, Launch, Mode};
use crate::lure::Lure;
use crate::trap::{Action, Caught, Trap};
use crate::verdict::{Finding, Kind};
use crate::{Arguments, care, run, say, say_summary};

/// Yards that are besieged at once: most of the time is spent waiting.
const YARDS: u64 = 3;
/// More of them: each kill there is one of the master, and workers come back with growing pauses.
const YARDS_ON_POSTGRES: u64 = 4;
/// The latest visit that the second trap of a place is for.
const LATEST: u64 = 5;
/// For somebody to be caught.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long who is stopped stays so.
const STOPPED: Duration = Duration::from_millis(150);
/// Clients that are open while a trap is laid.
const CALLERS: usize = 4;
/// Between two restarts, or two callers that go.
const LURE_EVERY: Duration = Duration::from_millis(250);
const GLANCE: Duration = Duration::from_millis(5);

/// What came of a yard.
#[derive(Debug, Default)]
struct Outcome {
    caught: usize,
    builds: usize,
    findings: Vec<Finding>,
    slowest: Duration,
}

/// Lays every trap there is, then compares everything that is left.
pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let fronts = fronts(arguments);
    let states: Vec<State> = fronts.iter().map(|front| front.state).collect();
    let has_care = arguments.action == Action::Kill
        && Act::ALL
            .iter()
            .any(|act| Lure::of(*act) == Lure::Care && is_wanted(arguments, act.name()));
    ensure!(
        has_care || fronts.iter().any(|front| !front.all.is_empty()),
        "no failpoint has such a name"
    );
    let (yards, care) = std::thread::scope(|scope| {
        let mut running = Vec::new();
        let care = has_care.then(|| scope.spawn(|| care::run(&states)));
        for (front, traps) in fronts.iter().enumerate() {
            for number in 0..traps.yards.min(traps.all.len() as u64) {
                let number = ((front as u64) << 8) | number;
                running.push(scope.spawn(move || besiege(arguments, number, traps)));
            }
        }
        let yards = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        (yards.collect::<Vec<_>>(), care.map(std::thread::ScopedJoinHandle::join))
    });
    let mut all = Outcome::default();
    if let Some(care) = care {
        let care = care.map_err(|_panic| anyhow!("the harness failed, see above"))??;
        care.findings.iter().for_each(|finding| say(&finding.to_string()));
        all.caught += care.caught;
        all.findings.extend(care.findings);
    }
    for yard in yards {
        let yard = yard.map_err(|_panic| anyhow!("the harness failed, see above"))??;
        all.caught += yard.caught;
        all.builds += yard.builds;
        all.findings.extend(yard.findings);
        all.slowest = all.slowest.max(yard.slowest);
    }
    report(arguments, &all, begun.elapsed());
    Ok(if all.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The traps for one kind of database, of which each yard takes the next when it is done with
/// one.
struct Traps {
    state: State,
    yards: u64,
    all: Vec<Trap>,
    next: AtomicUsize,
}

impl Traps {
    fn take(&self) -> Option<Trap> {
        self.all.get(self.next.fetch_add(1, Ordering::Relaxed)).copied()
    }
}

/// Returns what is laid on which database. Only the master knows which one it has.
fn fronts(arguments: &Arguments) -> Vec<Traps> {
    let traps = draw(arguments);
    // What SQLite leaves behind when it crashes is its own.
    let of_master = traps.iter().filter(|trap| {
        trap.act.process() == Process::Master && Lure::of(trap.act) != Lure::CrashMaster
    });
    let of_master: Vec<Trap> = of_master.copied().collect();
    let front = |state, yards, all| Traps { state, yards, all, next: AtomicUsize::new(0) };
    let mut fronts = vec![front(State::Sqlite, YARDS, traps)];
    if private_postgres::socket_dir("failpoints").is_some() {
        fronts.push(front(State::Postgres, YARDS_ON_POSTGRES, of_master));
    }
    fronts.retain(|front| arguments.on.contains(&front.state));
    fronts
}

fn is_wanted(arguments: &Arguments, place: &str) -> bool {
    let mut parts = arguments.places.iter();
    arguments.places.is_empty() || parts.any(|part| place.starts_with(part.as_str()))
}

/// Returns the traps, in an order that the seed says.
fn draw(arguments: &Arguments) -> Vec<Trap> {
    let mut dice = Dice::new(arguments.seed, 0);
    let mut traps = Vec::new();
    for act in Act::ALL.iter().filter(|act| Lure::of(**act) != Lure::Care) {
        for side in [Side::Before, Side::After] {
            for nth in 0..arguments.kills {
                let due = if nth == 0 { 1 } else { dice.between(2, LATEST) };
                traps.push(Trap { act: *act, side, action: arguments.action, due });
            }
        }
    }
    traps.retain(|trap| is_wanted(arguments, &trap.place()));
    traps.sort_by_cached_key(|_| dice.roll());
    traps
}

fn besiege(arguments: &Arguments, number: u64, traps: &Traps) -> anyhow::Result<Outcome> {
    let grounds = Grounds {
        build: Build::Armed,
        state: traps.state,
        pushes: Pushes::Polled,
        wiring: Wiring::Direct,
        disks: Disks::Shared,
        clocks: Clocks::Shared,
    };
    let fleet = Fleet::start(grounds, arguments.seed).context("start master and workers")?;
    let baseline = Baseline::take(&fleet);
    let traps_folder = fleet.yard.traps();
    let mut siege = Siege {
        scene: Scene::new(fleet)?,
        folder: traps_folder,
        seed: arguments.seed ^ (number << 32),
        launches: 0,
        outcome: Outcome::default(),
        lured: Instant::now(),
    };
    while let Some(trap) = traps.take() {
        siege.play(trap).with_context(|| format!("at {trap} on {:?}", traps.state))?;
    }
    let (evidence, findings) = run::conclude(&mut siege.scene, &baseline, arguments)?;
    let mut outcome = siege.outcome;
    outcome.builds = evidence.requests.len();
    outcome.findings.extend(findings);
    Ok(outcome)
}

/// One yard and its traps.
struct Siege {
    scene: Scene,
    folder: PathBuf,
    seed: u64,
    launches: u64,
    outcome: Outcome,
    /// When something was last done to bring processes to the trap.
    lured: Instant,
}

impl Siege {
    /// Lays a trap, waits until somebody is caught in it, and mends what that broke.
    fn play(&mut self, trap: Trap) -> anyhow::Result<()> {
        let begun = Instant::now();
        trap.lay(&self.folder)?;
        let caught = self.await_caught(&trap)?;
        trap.lift(&self.folder)?;
        match caught {
            Some(caught) => self.note(&trap, &caught),
            None => {
                let what = format!("nobody came to {trap}");
                self.outcome.findings.push(Finding { kind: Kind::Unreached, what });
            }
        }
        self.scene.fleet.heal()?;
        self.outcome.slowest = self.outcome.slowest.max(begun.elapsed());
        self.scene.callers.reap()
    }

    fn await_caught(&mut self, trap: &Trap) -> anyhow::Result<Option<Caught>> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(caught) = trap.caught(&self.folder) {
                return Ok(Some(caught));
            }
            self.launch(trap.act)?;
            if self.lured.elapsed() > LURE_EVERY {
                self.lure(trap);
                self.lured = Instant::now();
            }
            std::thread::sleep(GLANCE);
            self.scene.callers.reap()?;
        }
        Ok(None)
    }

    /// Keeps a few clients open.
    fn launch(&mut self, act: Act) -> anyhow::Result<()> {
        while self.scene.callers.open().len() < CALLERS {
            let mut launch = Launch::draw(self.seed, self.launches);
            self.launches += 1;
            if Lure::of(act).needs_long_commands(act) {
                (launch.app, launch.mode) = (App::Attended, Mode::Follow);
                launch.job.wait_ms = 2_000;
            } else {
                // Who waits for a long one comes to no trap.
                launch.job.wait_ms = launch.job.wait_ms.min(100);
                launch.job.out_bytes = launch.job.out_bytes.min(400_000);
            }
            self.scene.callers.start(&self.scene.fleet.yard, launch)?;
        }
        Ok(())
    }

    fn lure(&mut self, trap: &Trap) {
        let folder = self.folder.clone();
        let has_sprung = || trap.caught(&folder).is_some();
        let oldest = self.scene.callers.attended().first().copied();
        match Lure::of(trap.act) {
            Lure::Launches => {}
            Lure::RestartMaster => self.scene.fleet.dare_master(&has_sprung),
            Lure::CrashMaster => {
                self.scene.fleet.kill_master();
                self.scene.fleet.dare_master(&has_sprung);
            }
            Lure::RestartWorker => self.scene.fleet.dare_worker(0, &has_sprung),
            Lure::LoseCaller => oldest.into_iter().for_each(|pid| self.scene.callers.kill(pid)),
            Lure::Push => self.scene.fleet.push(),
            // Its traps are never laid here.
            Lure::Care => {}
            Lure::Interrupt => {
                oldest.into_iter().for_each(|pid| self.scene.callers.interrupt(pid));
            }
        }
    }

    /// Remembers who was caught, for the verdict.
    fn note(&mut self, trap: &Trap, caught: &Caught) {
        self.outcome.caught += 1;
        if trap.action == Action::Stop {
            std::thread::sleep(STOPPED);
            // It cannot have ended by itself.
            let _is_gone = kill_process(caught.pid, Signal::CONT).is_err();
            return;
        }
        match trap.act.process() {
            Process::Master | Process::Worker => {
                self.scene.fleet.forgive(caught.pid);
                self.await_end(caught);
            }
            Process::Spawner => self.scene.spawners_killed += 1,
            Process::Shim => {
                let command = caught.folder.file_name().unwrap_or_default().to_string_lossy();
                let kill = Kill { at_us: wall_us(), is_whole: false };
                self.scene.killed.insert(command.into_owned(), kill);
            }
            // That it was killed is its exit code.
            Process::Client => {}
            // Nobody calls it here.
            Process::Db => {}
        }
    }

    /// Waits until a daemon that was caught is gone: it dies in the moment it says that it was.
    fn await_end(&mut self, caught: &Caught) {
        e2e::wait_until("the end of who was caught", || {
            let daemons = self.scene.fleet.daemons();
            let is_known = daemons.iter().any(|(_, pid)| *pid == caught.pid);
            if is_known {
                self.scene.fleet.look_after_daemons();
            }
            (!is_known).then_some(())
        });
    }
}

fn report(arguments: &Arguments, all: &Outcome, took: Duration) {
    let count = |kind| all.findings.iter().filter(|finding| finding.kind == kind).count();
    for finding in all.findings.iter().filter(|finding| finding.kind == Kind::Unreached) {
        say(&finding.to_string());
    }
    let summary = json!({
        "failpoints": Act::ALL.len() * 2,
        "on": arguments.on.iter().map(|state| format!("{state:?}")).collect::<Vec<_>>(),
        "caught": all.caught,
        "unreached": count(Kind::Unreached),
        "builds": all.builds,
        "lost": count(Kind::Lost),
        "twice": count(Kind::Twice),
        "wrong": count(Kind::Wrong),
        "gaps": count(Kind::Gap),
        "left": count(Kind::Left),
        "late": count(Kind::Late),
        "slowest_ms": u64::try_from(all.slowest.as_millis()).unwrap_or(u64::MAX),
        "seed": arguments.seed,
        "seconds": took.as_secs(),
    });
    say_summary(&summary, arguments.json);
}
