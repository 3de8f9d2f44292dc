//! A database that cannot be written: its disk is full, somebody holds its lock.

use std::time::{Duration, Instant};

use e2e::{SmallDisk, SqliteLock, Yard, wait_until};

use super::one::{ONE, ONE_MORE};
use super::restart::{counting, expected_output, open_gate, wait_for_half_way};

/// A timer that comes due on whatever disk there is.
const TIMER: &str = r#"
scheduler.push = { type = "any_branch", change_source = "launch", stable_timer = "1s", builders = ["one"] }
"#;

#[test]
fn a_full_disk_refuses_new_work_without_haste_and_is_forgotten_once_it_has_space() {
    let yard = Yard::new("");
    let test = "a full disk of the database";
    let Some(disk) = SmallDisk::mount(test, yard.path("small")) else { return };
    yard.configure_with_state("sqlite:small/state.db", &format!("{TIMER}{ONE}"));
    let mut master = yard.start_master();
    let worker = yard.start_worker("");
    let sent = yard.changeport(&["send", "--branch", "main", "--comments", "later"]);
    assert_eq!(sent.code(), 0, "{}", sent.err());
    disk.fill();
    let full = "the disk of the database is full: ";
    master.wait_for(full);
    let since = Instant::now();
    let refusal = yard.changeport(&["submit", "one", "x"]);
    assert_ne!(refusal.code(), 0);
    assert!(refusal.err().contains("could not store it"), "{}", refusal.err());
    // The pauses before the sixth attempt are 50, 100, 200, 400 and 800 ms.
    wait_until("six attempts", || (master.log().matches(full).count() >= 6).then_some(()));
    assert!(since.elapsed() > Duration::from_secs(1), "{:?}", since.elapsed());
    disk.free();
    let since = Instant::now();
    assert_eq!(yard.results("one", 1), ["SUCCESS"], "what the timer started");
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    assert_eq!(yard.changeport(&["run", "one", "x"]).out(), "[x]");
    drop(worker);
    let (code, log) = master.stop();
    assert_eq!(code, 0, "{log}");
}

#[test]
fn a_lock_of_somebody_else_is_waited_for_and_costs_no_connection() {
    let yard = Yard::new(ONE);
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    let lock = SqliteLock::take(&yard.path("master/state.db"));
    let client = yard.start_changeport(&["run", "one", "x"]);
    master.wait_for("the database is locked by another program");
    lock.release();
    let finished = client.finish();
    assert_eq!((finished.code(), finished.out().as_str()), (0, "[x]"), "{}", finished.err());
    assert!(!master.log().contains("is gone"), "{}", master.log());
}

#[test]
fn a_lock_of_half_a_minute_loses_no_work() {
    let yard = Yard::new("");
    yard.configure(&format!("{}{ONE_MORE}", counting(&yard)));
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    let counts = yard.start_changeport(&["run", "count"]);
    wait_for_half_way(&yard);
    let lock = SqliteLock::take(&yard.path("master/state.db"));
    let since = Instant::now();
    let clients: Vec<_> =
        (0..5).map(|number| yard.start_changeport(&["run", "one", &number.to_string()])).collect();
    // It ends while nothing can be committed.
    open_gate(&yard);
    master.wait_for("the database is locked by another program");
    assert_eq!(yard.master(&["builds"]).code(), 0, "what is committed can be read");
    wait_until("half a minute", || (since.elapsed() > Duration::from_secs(30)).then_some(()));
    lock.release();
    let counted = counts.finish();
    assert_eq!((counted.code(), counted.stdout), (3, expected_output()));
    for (number, client) in clients.into_iter().enumerate() {
        let finished = client.finish();
        assert_eq!((finished.code(), finished.out()), (0, format!("[{number}]")));
    }
    assert_eq!(yard.results("one", 5), ["SUCCESS"; 5]);
    assert_eq!(yard.witnesses().ran().len(), 1);
    assert!(!master.log().contains("is gone"), "{}", master.log());
}

#[test]
fn a_master_that_waits_for_a_lock_still_ends_when_it_is_told_to() {
    let yard = Yard::new(ONE);
    let mut master = yard.start_master();
    let lock = SqliteLock::take(&yard.path("master/state.db"));
    let client = yard.start_changeport(&["submit", "one"]);
    master.wait_for("the database is locked by another program");
    let since = Instant::now();
    let (code, log) = master.stop();
    assert_eq!(code, 0, "{log}");
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    lock.release();
    let _master = yard.start_master();
    assert_eq!(client.finish().out(), "one#1\n");
}
