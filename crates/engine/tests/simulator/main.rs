//! The simulator: the real engine among simulated machines, clients and a database, with crashes,
//! lost connections, reboots and a wall clock that jumps. Every step is checked; when the faults
//! stop, everything accepted comes to its end.
//!
//! A failure names its seed: add it to `KEPT`, and run it alone with
//! `SEED=n cargo test --profile sim -p engine --test simulator one_seed -- --ignored`.

#[path = "../../../attempt/tests/host/mod.rs"]
mod host;

mod clients;
mod database;
mod judge;
mod machine;
mod mutant;
mod variation;
mod world;
mod yard;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use mutant::Mutant;
use world::World;

const SEEDS: u64 = 200;
const STEPS: u32 = 100_000;
/// Steps between two comparisons of the whole state with its rows.
const WHOLE: u32 = 256;
/// Steps between two checks of everything that was ever stored.
const HISTORY: u32 = 2_560;
/// Seeds that once failed.
const KEPT: &[u64] = &[23, 55];

/// Seeds and steps within which a deliberate bug has to be seen.
const MUTANT_SEEDS: u64 = 100;
const MUTANT_STEPS: u32 = 3_000;

fn run(seed: u64, steps: u32, mutant: Option<Mutant>) -> World {
    let mut world = World::new(seed, mutant);
    for step in 1..=steps {
        world.step();
        if step % WHOLE == 0 {
            world.check_whole();
        }
        if step % HISTORY == 0 {
            world.check_history();
        }
    }
    world.calm_down();
    world
}

#[test]
fn nothing_is_lost_and_nothing_runs_twice() {
    let next = AtomicU64::new(0);
    let executed = AtomicUsize::new(0);
    let failed = AtomicU64::new(u64::MAX);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let kept = usize::try_from(at).ok().and_then(|at| KEPT.get(at)).copied();
            let seed = kept.unwrap_or(at.wrapping_sub(KEPT.len() as u64));
            let is_over = at >= SEEDS + KEPT.len() as u64;
            if is_over || failed.load(Ordering::Relaxed) != u64::MAX {
                return;
            }
            match catch_unwind(|| run(seed, STEPS, None).executed()) {
                Ok(count) => {
                    executed.fetch_add(count, Ordering::Relaxed);
                }
                Err(_) => {
                    failed.fetch_min(seed, Ordering::Relaxed);
                    return;
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner();
    assert_eq!(failed, u64::MAX, "seed {failed} failed; the reason stands above");
    // A run in which nothing happens proves nothing.
    let executed = executed.into_inner();
    assert!(executed > 10_000, "only {executed} commands were executed");
}

#[test]
fn every_deliberate_bug_is_seen() {
    let is_seen = |mutant: Mutant| {
        let run = |seed| catch_unwind(AssertUnwindSafe(|| run(seed, MUTANT_STEPS, Some(mutant))));
        (0..MUTANT_SEEDS).any(|seed| run(seed).is_err())
    };
    let unseen: Vec<_> = Mutant::ALL.iter().filter(|mutant| !is_seen(**mutant)).collect();
    assert!(unseen.is_empty(), "nobody saw {unseen:?}");
}

/// Runs the seed of the environment variable `SEED`.
#[test]
#[ignore = "for a failing seed by hand"]
fn one_seed() {
    let seed = option_env!("SEED").and_then(|seed| seed.parse().ok()).unwrap_or(0);
    run(seed, STEPS, None);
}
