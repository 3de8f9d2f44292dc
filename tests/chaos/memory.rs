//! Whether daemons grow: their memory after a warm-up, and after everything that came then.
//!
//! Both times nothing happens, and threads of blocking work are gone. Memory is what the kernel
//! counts and no file backs, swapped or not.

use std::fs;

use rustix::process::Pid;

use crate::cycle::Scene;
use crate::fault::Family;

/// For the allocator of the daemons. A thread's cache of small pieces of memory fills for
/// thousands of builds, up to 236 KiB a thread, the end of the heap is given back in steps of
/// 128 KiB, and of the stack of a thread that has ended 16 KiB are kept for another, for as many
/// threads as there once were: each would hide what is lost.
pub(crate) const ALLOCATOR: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.tcache_count=0:glibc.malloc.trim_threshold=4096:glibc.malloc.top_pad=0:\
     glibc.pthread.stack_cache_size=0",
);
/// One cycle in so many comes after the warm-up. Caches of the master, SQLite's first, fill for
/// some thousands of builds.
const JUDGED: u64 = 4;
/// A run is judged if so much comes after the warm-up.
const BUILDS: usize = 1_000;
const KILLS: usize = 200;
/// By so much a daemon may have grown: two percent, or 16 pages where that is more. A worker has
/// little more than 1 MiB, and a stack that once went deeper is a few pages for ever.
const MOST_PERCENT: u64 = 2;
const MOST_KIB: u64 = 64;

/// The memory of the daemons, and what they had done by then.
#[derive(Debug)]
pub(crate) struct Memory {
    daemons: Vec<(String, Pid, u64)>,
    builds: usize,
    kills: usize,
}

/// A daemon that lived from one measurement to the other.
#[derive(Debug, PartialEq)]
pub(crate) struct Growth {
    name: String,
    before_kib: u64,
    now_kib: u64,
}

/// What happened to the memory of all of them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Drift {
    growths: Vec<Growth>,
    is_judged: bool,
}

/// Says after which cycle to measure for the first time; never where daemons are killed.
pub(crate) fn warm_up(families: &[Family], cycles: u64) -> Option<u64> {
    let spares_daemons = |family| matches!(family, &Family::Shim | &Family::Client);
    families.iter().all(spares_daemons).then_some(cycles - cycles / JUDGED)
}

impl Memory {
    /// Measures.
    pub(crate) fn of(scene: &Scene) -> Self {
        let daemons = scene.fleet.daemons().into_iter();
        let daemons = daemons.map(|(name, pid)| (name, pid, resident_kib(pid))).collect();
        let builds = scene.callers.told.len();
        let kills = scene.killed.len() + scene.callers.killed;
        Self { daemons, builds, kills }
    }

    /// Compares with a later measurement.
    pub(crate) fn drift(&self, later: &Self) -> Drift {
        let growth = |(name, pid, now_kib): &(String, Pid, u64)| {
            let (_, _, before_kib) = self.daemons.iter().find(|(_, old, _)| old == pid)?;
            Some(Growth { name: name.clone(), before_kib: *before_kib, now_kib: *now_kib })
        };
        let growths = later.daemons.iter().filter_map(growth).collect();
        let has_enough = later.builds - self.builds >= BUILDS && later.kills - self.kills >= KILLS;
        Drift { growths, is_judged: has_enough }
    }
}

impl Growth {
    fn percent(&self) -> f64 {
        (self.now_kib as f64 / self.before_kib as f64 - 1.0) * 100.0
    }

    fn is_too_much(&self) -> bool {
        let allowed_kib = (self.before_kib * MOST_PERCENT / 100).max(MOST_KIB);
        self.now_kib > self.before_kib + allowed_kib
    }

    fn words(&self) -> String {
        let Self { name, before_kib, now_kib } = self;
        format!("{name}: {now_kib} KiB, {before_kib} after the warm-up, {:+.1} %", self.percent())
    }
}

impl Drift {
    /// Returns the memory of each daemon, in words.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> {
        self.growths.iter().map(Growth::words)
    }

    /// Returns the daemons that have grown too much, in words. A short run says nothing.
    pub(crate) fn left(&self) -> Vec<String> {
        let is_found = |growth: &&Growth| self.is_judged && growth.is_too_much();
        self.growths.iter().filter(is_found).map(Growth::words).collect()
    }

    /// Returns by how much the one grew that grew most, in percent with one digit.
    pub(crate) fn percent(&self) -> Option<f64> {
        let most = self.growths.iter().map(Growth::percent).reduce(f64::max)?;
        Some((most * 10.0).round() / 10.0)
    }
}

fn resident_kib(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let status = status.unwrap_or_default();
    let value = |key| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok())
    };
    ["RssAnon:", "VmSwap:"].into_iter().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(daemons: &[(&str, i32, u64)], builds: usize, kills: usize) -> Memory {
        let daemon = |(name, pid, kib): &(&str, i32, u64)| {
            ((*name).to_owned(), Pid::from_raw(*pid).expect("a pid is not 0"), *kib)
        };
        Memory { daemons: daemons.iter().map(daemon).collect(), builds, kills }
    }

    #[test]
    fn two_percent_or_sixteen_pages_are_allowed_and_more_is_found() {
        let before = memory(&[("master", 7, 10_000), ("w1", 8, 1_000), ("w2", 9, 1_000)], 400, 50);
        let after =
            memory(&[("master", 7, 10_200), ("w1", 8, 1_064), ("w2", 9, 1_065)], 1_400, 250);
        let drift = before.drift(&after);
        assert_eq!(drift.left(), ["w2: 1065 KiB, 1000 after the warm-up, +6.5 %"]);
        assert_eq!(drift.percent(), Some(6.5));
        let worse = memory(&[("master", 7, 10_201)], 1_400, 250);
        assert_eq!(before.drift(&worse).left().len(), 1);
    }

    #[test]
    fn a_daemon_that_did_not_live_through_is_not_compared() {
        let before = memory(&[("master", 7, 10_000), ("w1", 8, 1_000)], 0, 0);
        let after = memory(&[("master", 7, 9_900), ("w1", 9, 9_000)], 1_000, 200);
        let drift = before.drift(&after);
        assert_eq!((drift.left(), drift.percent()), (Vec::new(), Some(-1.0)));
    }

    #[test]
    fn a_short_run_is_told_and_not_judged() {
        let before = memory(&[("master", 7, 10_000)], 0, 0);
        for (builds, kills) in [(999, 200), (1_000, 199)] {
            let drift = before.drift(&memory(&[("master", 7, 20_000)], builds, kills));
            assert_eq!((drift.left(), drift.percent()), (Vec::new(), Some(100.0)));
        }
        assert_eq!(Drift::default().percent(), None);
    }

    #[test]
    fn only_where_daemons_are_spared_there_is_a_warm_up() {
        assert_eq!(warm_up(&[Family::Shim, Family::Client], 400), Some(300));
        assert_eq!(warm_up(&[Family::Shim, Family::Worker], 300), None);
    }
}
