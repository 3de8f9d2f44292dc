//! In a process of its own: settings of the allocator are for all threads of a process.

use std::fs;
use std::hint::black_box;
use std::sync::{Barrier, Mutex};
use std::thread;

const THREADS: usize = 8;
/// What each of them needs for a moment, in bytes: many small pieces, and a large one, twice.
const SMALL: usize = 16 * 1024;
const PIECES: usize = 64;
const LARGE: usize = 1024 * 1024;

/// Returns the memory of this process that is in no file, in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the kernel tells");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let digits = line.expect("the kernel tells").trim().trim_end_matches(" kB");
    digits.parse().expect("a number of KiB")
}

fn need_for_a_moment() {
    let pieces: Vec<Vec<u8>> = (0..PIECES).map(|_| vec![1; SMALL]).collect();
    drop(black_box(pieces));
    for _ in 0..2 {
        drop(black_box(vec![1u8; LARGE]));
    }
}

#[test]
#[cfg(target_env = "gnu")]
fn what_threads_needed_for_a_moment_is_given_back_while_they_live() {
    heap::keep_small();
    let before = resident_kib();
    // One after the other, so that it does not depend on who comes between whose pieces.
    let turn = Mutex::new(());
    let (done, over) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let grown = thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mine = turn.lock();
                need_for_a_moment();
                drop(mine);
                done.wait();
                over.wait();
            });
        }
        done.wait();
        let grown = resident_kib().saturating_sub(before);
        over.wait();
        grown
    });
    // Left alone, each keeps its own 1,024 KiB of pieces.
    assert!(grown < 2_048, "{THREADS} threads that need nothing have {grown} KiB");
}
