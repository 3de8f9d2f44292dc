//! A thousand callers that never say who they are do not keep out one who does.

use std::thread;
use std::time::{Duration, Instant};

use e2e::{Door, Memory, Raw, Yard, open_doors};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CROWD: usize = 1_000;
/// Handshakes of one who means well, meanwhile.
const HANDSHAKES: usize = 200;
const TRIES: usize = 3;
/// Unfinished handshakes that a listener waits for at once.
const MOST: u64 = 256;
/// User memory of each, in KiB.
const MOST_KIB: u64 = 24;

/// A test process has as many sockets as its crowd.
fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: maximum.or(Some(1 << 20)), maximum };
    setrlimit(Resource::Nofile, wanted).expect("a limit may be raised to its maximum");
}

/// Silent ones, and such as begin to speak.
fn gather(door: &Door) -> Vec<Raw> {
    let one = |at: usize| {
        let mut raw = door.connect();
        raw.send_bytes(&b"\0\0\x01\0\0\x01"[..at % 7]);
        raw
    };
    (0..CROWD).map(one).collect()
}

#[test]
fn whoever_says_who_it_is_gets_in_past_a_crowd() {
    raise_limit();
    let yard = Yard::new("");
    let (master, doors) = open_doors(&yard);
    for door in &doors {
        drop(door.enter());
        let memory = Memory::of(master.pid());
        let begun = Instant::now();
        let crowd = thread::scope(|scope| {
            let crowd = scope.spawn(|| gather(door));
            let mut times: Vec<Duration> = (0..HANDSHAKES).map(|_| handshake(door)).collect();
            let crowd = crowd.join().expect("everybody gets in line");
            times.extend((0..HANDSHAKES).map(|_| handshake(door)));
            times.sort_unstable();
            let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
            println!("{door:?}: median {median:?}, p99 {p99:?} of {}", times.len());
            crowd
        });
        let growth = memory.peak_growth_kib();
        crowd.into_iter().for_each(|mut raw| raw.expect_end());
        println!("{door:?}: all closed after {:?}; {growth} KiB at most", begun.elapsed());
        assert!(growth <= MOST * MOST_KIB, "{growth} KiB at the {door:?}");
    }
    let lines = master.log().lines().filter(|line| line.contains("was closed")).count();
    assert!((1..200).contains(&lines), "{lines} lines about strangers:\n{}", master.log());
}

/// One that this machine held up between its connect and its hello comes again, as clients do.
fn handshake(door: &Door) -> Duration {
    let begun = Instant::now();
    let entered = (0..TRIES).find_map(|_| door.try_to_enter());
    assert!(entered.is_some(), "a place at the {door:?}");
    begun.elapsed()
}
