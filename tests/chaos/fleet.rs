//! The master and the workers of a run, as processes that are killed and started again.

mod disks;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use e2e::{
    Build, Daemon, Database, Postgres, Repository, SickDisk, Volume, Yard, finish, wait_until,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use self::disks::own_disks;
use crate::clock::Clock;
use crate::evidence;
use crate::fault::{Disk, Whose};
use crate::files::{configuration, polling, worker_configuration};
use crate::host::{HERE, Host, Loss};
use crate::machine::Machine;
use crate::memory::ALLOCATOR;
use crate::proxy::{Proxy, Side};

const WORKERS: usize = 3;

/// For a worker to notice a silent master, and to come back.
const TO_NOTICE: Duration = Duration::from_millis(proto::limits::SILENCE_MS + 6_000);

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) yard: Yard,
    /// Where the master keeps its state.
    pub(crate) database: Database,
    /// Where the master looks for new commits, if it does.
    pub(crate) repository: Option<Repository>,
    master: Option<Daemon>,
    stations: Vec<Station>,
    /// Of the master and of the first worker, where they have one.
    disks: Vec<Volume>,
    /// Of the master, above its disk, and of the second worker, where calls can fail.
    sick: Vec<SickDisk>,
    /// Calls that failed, and those of them that were in the spool.
    pub(crate) failed_calls: usize,
    pub(crate) failed_in_spool: usize,
    /// The first worker's, where it has a disk to lose.
    machine: Option<Machine>,
    /// The third worker's, where networks can be broken.
    host: Option<Host>,
    /// Of the master and of the second worker, where they have one.
    clocks: Vec<Clock>,
    /// How often the first worker's machine was switched off.
    pub(crate) reboots: usize,
    /// Daemons that were caught in a trap.
    caught: HashSet<Pid>,
    /// Daemons that ended although nobody asked them to.
    pub(crate) surprises: Vec<String>,
    /// Daemons that have ended. Supervisors that live on hold their logs open.
    ended: Vec<(String, Daemon)>,
    pub(crate) times: Times,
}

/// A worker and what lies between it and the master.
#[derive(Debug)]
struct Station {
    name: String,
    daemon: Option<Daemon>,
    proxy: Option<Proxy>,
    /// Until then its connection may be dead without its knowing.
    half_open_until: Option<Instant>,
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// From each start of a daemon until every worker, or it itself, is attached.
    pub(crate) adoptions: Vec<Duration>,
    /// From SIGTERM to the end of a daemon, the slowest.
    pub(crate) stop: Duration,
    /// From the last packet of a worker until the master knew that it was away.
    pub(crate) notice: Option<Duration>,
}

/// What lies between the master and its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wiring {
    Direct,
    /// Proxies.
    Proxied,
    /// Proxies, and for the third worker the network of the kernel.
    Networked,
}

/// Whether the master and a worker have small disks of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disks {
    Shared,
    Own,
}

/// Whether the master and a worker have wall clocks of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clocks {
    Shared,
    Own,
}

/// Which database the master has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum State {
    Sqlite,
    Postgres,
}

/// Whether the master looks for commits in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushes {
    No,
    Polled,
}

/// What can be broken besides processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grounds {
    pub(crate) build: Build,
    pub(crate) state: State,
    pub(crate) pushes: Pushes,
    pub(crate) wiring: Wiring,
    pub(crate) disks: Disks,
    pub(crate) clocks: Clocks,
}

/// The worker whose machine is switched off, the one whose clock is set, the one on whose disk calls
/// fail, the one with a network.
const ON_MACHINE: usize = 0;
const BY_CLOCK: usize = 1;
const ON_SICK_DISK: usize = 1;
const ON_HOST: usize = 2;

impl Fleet {
    /// Makes a yard, and starts everything in it.
    pub(crate) fn start(grounds: Grounds, seed: u64) -> anyhow::Result<Self> {
        let yard = Yard::of(grounds.build, "");
        let database = match grounds.state {
            State::Sqlite => Database::Sqlite(yard.path("master/state.db")),
            State::Postgres => {
                let server = Postgres::new("chaos on PostgreSQL").context("find PostgreSQL")?;
                Database::Postgres(server.url())
            }
        };
        let repository = match grounds.pushes {
            Pushes::No => None,
            Pushes::Polled => Some(yard.repository("pushed")).inspect(push),
        };
        let (disks, sick, machine) = match grounds.disks {
            Disks::Shared => (Vec::new(), Vec::new(), None),
            Disks::Own => own_disks(&yard)?,
        };
        let host = match grounds.wiring {
            Wiring::Direct | Wiring::Proxied => None,
            Wiring::Networked => Some(Host::new().context("make a host")?),
        };
        let clocks = match grounds.clocks {
            Clocks::Shared => Vec::new(),
            Clocks::Own => own_clocks(&yard)?,
        };
        let names: Vec<String> = (1..=WORKERS).map(|number| format!("w{number}")).collect();
        let mut hashes = String::new();
        for name in &names {
            yard.draw_token(name, &format!("{name}.token"), &format!("{name}.hash"));
            hashes += &fs::read_to_string(yard.path(&format!("{name}.hash")))?;
        }
        yard.write("tokens", &hashes);
        let address = yard.worker_address().to_owned();
        let port = address.rsplit(':').next().unwrap_or_default();
        let (listen, from_host) = match &host {
            None => (address.clone(), address.clone()),
            Some(_) => (format!("0.0.0.0:{port}"), format!("{HERE}:{port}")),
        };
        let mut text = configuration(&yard, &database, &listen, &names)?;
        text.extend(repository.as_ref().map(polling));
        yard.write("master.toml", &text);
        let mut stations = Vec::new();
        for (index, name) in names.into_iter().enumerate() {
            let is_proxied = match grounds.wiring {
                Wiring::Direct => false,
                Wiring::Proxied => true,
                Wiring::Networked => index != ON_HOST,
            };
            let proxy = is_proxied.then(|| Proxy::start(&address, seed));
            let proxy = proxy.transpose().context("start a proxy")?;
            let direct = if index == ON_HOST { &from_host } else { &address };
            let master = proxy.as_ref().map_or(direct.as_str(), Proxy::address);
            yard.write(&format!("{name}.toml"), &worker_configuration(&name, master));
            stations.push(Station { name, daemon: None, proxy, half_open_until: None });
        }
        let times = Times::default();
        let mut fleet = Self {
            yard,
            database,
            repository,
            master: None,
            stations,
            disks,
            sick,
            failed_calls: 0,
            failed_in_spool: 0,
            machine,
            host,
            clocks,
            reboots: 0,
            caught: HashSet::new(),
            surprises: Vec::new(),
            ended: Vec::new(),
            times,
        };
        fleet.start_master();
        for index in 0..WORKERS {
            fleet.start_worker(index);
        }
        fleet.times = Times::default();
        Ok(fleet)
    }

    /// Starts the master where it is not running, and waits until every worker is attached.
    pub(crate) fn start_master(&mut self) {
        if self.master.is_some() {
            return;
        }
        let begun = Instant::now();
        let clock = self.clocks.first();
        let mut daemon = self.yard.start_master_as(|command| {
            command.env(ALLOCATOR.0, ALLOCATOR.1);
            clock.into_iter().for_each(|clock| clock.give_to(command));
        });
        let attached = self.stations.iter().filter(|station| station.is_reachable());
        for station in attached {
            daemon.wait_for(&format!("worker {} attached", station.name));
        }
        self.master = Some(daemon);
        self.times.adoptions.push(begun.elapsed());
    }

    /// Starts a worker where it is not running, and waits until it is attached where it can be.
    pub(crate) fn start_worker(&mut self, index: usize) {
        if self.stations[index].daemon.is_some() {
            return;
        }
        let begun = Instant::now();
        let configuration = format!("{}.toml", self.stations[index].name);
        let prefix = match index {
            ON_MACHINE => self.machine.as_ref().map(Machine::prefix),
            ON_HOST => self.host.as_ref().map(Host::prefix),
            _ => None,
        };
        let clock = self.clocks.get(1).filter(|_| index == BY_CLOCK);
        let prefix = prefix.unwrap_or_default();
        let mut daemon = self.yard.start_worker_through(&prefix, &configuration, |command| {
            command.env(ALLOCATOR.0, ALLOCATOR.1);
            clock.into_iter().for_each(|clock| clock.give_to(command));
        });
        // A new process has a new connection.
        self.stations[index].half_open_until = None;
        if self.master.is_some() {
            daemon.wait_for("attached");
            self.times.adoptions.push(begun.elapsed());
        }
        self.stations[index].daemon = Some(daemon);
    }

    /// Restarts the master while a trap is laid for it or for what its start brings about. Ends
    /// early where the trap has sprung.
    pub(crate) fn dare_master(&mut self, has_sprung: &dyn Fn() -> bool) {
        self.stop_master();
        let mut daemon = self.yard.start_unready_master();
        wait_until("a start of the master, or its end", || {
            (has_sprung() || daemon.has_said("ready: ") || daemon.has_exited()).then_some(())
        });
        self.master = Some(daemon);
    }

    /// Restarts a worker in the same way.
    pub(crate) fn dare_worker(&mut self, index: usize, has_sprung: &dyn Fn() -> bool) {
        self.stop_worker(index);
        let mut daemon = self.yard.start_worker_of(&format!("{}.toml", self.stations[index].name));
        wait_until("a start of a worker, or its end", || {
            (has_sprung() || daemon.has_said("attached") || daemon.has_exited()).then_some(())
        });
        self.stations[index].daemon = Some(daemon);
    }

    /// Pushes a commit, where the master looks for some.
    pub(crate) fn push(&self) {
        self.repository.iter().for_each(push);
    }

    /// Returns every commit that was pushed.
    pub(crate) fn pushed(&self) -> Vec<String> {
        let list = |repository: &Repository| repository.git(["rev-list", "HEAD"]);
        let list = self.repository.as_ref().map(list).unwrap_or_default();
        list.lines().map(str::to_owned).collect()
    }

    /// Says whether daemons have clocks of their own.
    pub(crate) fn has_clocks(&self) -> bool {
        !self.clocks.is_empty()
    }

    /// A process was caught in a trap: where it is a daemon, its end is no surprise.
    pub(crate) fn forgive(&mut self, pid: Pid) {
        self.caught.insert(pid);
    }

    /// Kills the master as a power cut of its process would.
    pub(crate) fn kill_master(&mut self) {
        let Some(master) = self.master.take() else { return };
        master.signal(Signal::KILL);
        self.bury(master, "master");
    }

    pub(crate) fn kill_worker(&mut self, index: usize) {
        let Some(worker) = self.stations[index].daemon.take() else { return };
        worker.signal(Signal::KILL);
        let name = self.stations[index].name.clone();
        self.bury(worker, &name);
    }

    /// Asks the master to end; commands go on.
    pub(crate) fn stop_master(&mut self) {
        let Some(master) = self.master.take() else { return };
        self.stop(master, "master");
    }

    pub(crate) fn stop_worker(&mut self, index: usize) {
        let Some(worker) = self.stations[index].daemon.take() else { return };
        let name = self.stations[index].name.clone();
        self.stop(worker, &name);
    }

    fn stop(&mut self, daemon: Daemon, name: &str) {
        let begun = Instant::now();
        daemon.signal(Signal::TERM);
        self.bury(daemon, name);
        self.times.stop = self.times.stop.max(begun.elapsed());
    }

    /// Waits for the end of a daemon.
    fn bury(&mut self, mut daemon: Daemon, name: &str) {
        daemon.exited();
        self.ended.push((name.to_owned(), daemon));
    }

    /// Writes the logs of all daemons that have ended into a folder, and returns it.
    pub(crate) fn write_logs(&mut self) -> anyhow::Result<PathBuf> {
        let folder = self.yard.path("daemons");
        fs::create_dir_all(&folder).context("make a folder for logs")?;
        for (number, (name, daemon)) in self.ended.iter_mut().enumerate() {
            let (_code, log) = daemon.ended();
            fs::write(folder.join(format!("{number:04}-{name}.log")), log).context("keep a log")?;
        }
        Ok(folder)
    }

    /// Returns the daemons that run, in a stable order.
    pub(crate) fn daemons(&self) -> Vec<(String, Pid)> {
        let master = self.master.iter().map(|daemon| ("master".to_owned(), daemon.pid()));
        let workers = self
            .stations
            .iter()
            .filter_map(|station| Some((station.name.clone(), station.daemon.as_ref()?.pid())));
        master.chain(workers).collect()
    }

    pub(crate) fn master_pid(&self) -> Option<Pid> {
        self.master.as_ref().map(Daemon::pid)
    }

    pub(crate) fn worker_pid(&self, index: usize) -> Option<Pid> {
        self.stations[index].daemon.as_ref().map(Daemon::pid)
    }

    /// Returns the proxy of a worker, or of another one where it has none.
    pub(crate) fn proxy(&self, index: usize) -> Option<&Proxy> {
        self.stations[self.proxied(index)].proxy.as_ref()
    }

    fn proxied(&self, index: usize) -> usize {
        if self.host.is_some() { index % ON_HOST } else { index }
    }

    /// Loses packets between the third worker and the master, where that can be done.
    pub(crate) fn lose(&self, loss: Loss) -> anyhow::Result<()> {
        self.host.as_ref().map_or(Ok(()), |host| host.lose(loss))
    }

    /// Loses every packet between the third worker and the master, until the master has noticed.
    pub(crate) fn time_silence(&mut self) -> anyhow::Result<()> {
        if self.host.is_none() {
            return Ok(());
        }
        self.lose(Loss::All)?;
        let begun = Instant::now();
        wait_until("a master that notices a silent worker", || {
            let status = self.yard.ask(&["status"]).into_iter().next()?;
            let mut workers = status["workers"].as_array()?.iter();
            let worker = workers.find(|worker| worker["name"] == self.stations[ON_HOST].name)?;
            (worker["is_attached"] == false).then_some(())
        });
        self.times.notice = Some(begun.elapsed());
        Ok(())
    }

    /// Sets a wall clock off by so many seconds, where there is one of its own.
    pub(crate) fn set_clock(&self, whose: Whose, seconds: i64) -> anyhow::Result<()> {
        self.clocks.get(whose as usize).map_or(Ok(()), |clock| clock.set(seconds))
    }

    /// Closes one side of a worker's connection. Where it is the master's, the worker learns of it
    /// from the silence; that is not done while another one has not.
    pub(crate) fn half_open(&mut self, index: usize, closed: Side) {
        let is_deaf = self.stations.iter().any(|station| !station.is_reachable());
        let index = self.proxied(index);
        let station = &mut self.stations[index];
        let Some(proxy) = &station.proxy else { return };
        if closed == Side::Master {
            if is_deaf {
                return proxy.cut();
            }
            station.half_open_until = Some(Instant::now() + TO_NOTICE);
        }
        proxy.half_open(closed);
    }

    /// Returns the living shims of all workers, each with its command, in a stable order.
    pub(crate) fn shims(&self) -> BTreeMap<String, Pid> {
        let of = |station: &Station| self.yard.shims_of(&station.name);
        self.stations.iter().flat_map(of).map(|(pid, command)| (command, pid)).collect()
    }

    /// Says whether every worker is attached, as far as it knows itself.
    pub(crate) fn is_whole(&self) -> bool {
        self.master.is_some() && self.stations.iter().all(|station| station.is_attached(&self.yard))
    }

    /// Returns how many commands are in the spools.
    pub(crate) fn spooled(&self) -> usize {
        let count = |station: &Station| self.yard.spooled(&station.name).len();
        self.stations.iter().map(count).sum()
    }

    /// Returns a disk, where it can be had.
    pub(crate) fn disk(&self, disk: Disk) -> Option<&Volume> {
        self.disks.get(disk as usize)
    }

    /// Takes note of daemons that ended by themselves.
    pub(crate) fn look_after_daemons(&mut self) {
        if let Some(mut master) = self.master.take_if(|master| master.has_exited()) {
            if !self.caught.contains(&master.pid()) {
                self.surprises.push(format!("the master ended: {}", last_words(&mut master)));
            }
            self.bury(master, "master");
        }
        for index in 0..self.stations.len() {
            let station = &mut self.stations[index];
            let Some(mut worker) = station.daemon.take_if(|worker| worker.has_exited()) else {
                continue;
            };
            let name = station.name.clone();
            if !self.caught.contains(&worker.pid()) {
                let words = last_words(&mut worker);
                self.surprises.push(format!("worker {name} ended: {words}"));
            }
            self.bury(worker, &name);
        }
    }

    /// Starts whatever does not run and lets every byte through.
    pub(crate) fn heal(&mut self) -> anyhow::Result<()> {
        self.look_after_daemons();
        self.host.as_ref().map_or(Ok(()), Host::heal)?;
        for station in &self.stations {
            if let Some(proxy) = &station.proxy {
                proxy.heal();
            }
        }
        self.start_master();
        for index in 0..self.stations.len() {
            self.start_worker(index);
        }
        Ok(())
    }

    /// Ends everything.
    pub(crate) fn end(&mut self) {
        for index in 0..self.stations.len() {
            self.stop_worker(index);
        }
        self.stop_master();
    }

    /// Waits until nothing waits, runs, or is about to be sealed, and the last commit was found;
    /// `false` where that takes too long.
    pub(crate) fn settle(&self, patience: Duration) -> bool {
        let begun = Instant::now();
        let pushed = self.pushed().len();
        wait_until("an end of all work", || {
            let is_idle = self.spooled() == 0
                && evidence::open_ends(&self.database) == 0
                && evidence::changes(&self.database).len() >= pushed;
            (is_idle || begun.elapsed() > patience).then_some(is_idle)
        })
    }
}

impl Station {
    fn is_reachable(&self) -> bool {
        let is_deaf = self.half_open_until.is_some_and(|until| Instant::now() < until);
        self.daemon.is_some() && !is_deaf
    }

    fn is_attached(&self, yard: &Yard) -> bool {
        let mut command = yard.bare_worker_command();
        let status = command.arg("--config").arg(yard.path(&format!("{}.toml", self.name)));
        let status = finish(status.args(["status", "--json"]));
        let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        self.is_reachable() && status["master"]["state"] == "attached"
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // Daemons before their disks; what is left after them goes with the yard.
        self.master = None;
        self.stations.clear();
        for pid in self.yard.processes() {
            // It may be gone by now.
            let _is_gone = kill_process(pid, Signal::KILL).is_err();
        }
        self.machine = None;
        self.sick.clear();
        self.disks.clear();
    }
}

fn own_clocks(yard: &Yard) -> anyhow::Result<Vec<Clock>> {
    let clocks = ["master.clock", "w2.clock"].map(|name| Clock::new(yard.path(name)));
    clocks.into_iter().map(|clock| clock?.context("find libfaketime")).collect()
}

fn last_words(daemon: &mut Daemon) -> String {
    daemon.log().lines().last().unwrap_or_default().to_owned()
}

/// Pushes a new commit.
fn push(repository: &Repository) {
    // What counts is that it is a new one.
    repository.git(["commit", "--quiet", "--allow-empty", "--message", "pushed"]);
    repository.push();
}
