//! The same on PostgreSQL: launches, a master killed in between, one master at a time.

use std::fs;
use std::time::{Duration, Instant};

use e2e::{Daemon, Postgres, Yard, finish};

use super::one::{ONE, ONE_MORE};
use super::restart::{counting, expected_output, open_gate, wait_for_half_way};

/// A yard whose master keeps its state in a new database.
fn yard_on(test: &str, more: impl FnOnce(&Yard) -> String) -> Option<(Yard, Postgres)> {
    let database = Postgres::new(&format!("end-to-end on PostgreSQL, {test}"))?;
    let yard = Yard::new("");
    yard.configure_with_state(&database.url(), &more(&yard));
    Some((yard, database))
}

#[test]
fn a_client_does_not_notice_that_its_master_on_postgresql_was_killed() {
    let Some((yard, _database)) = yard_on("a killed master", counting) else { return };
    let master = yard.start_master();
    assert!(!yard.path("master/state.db").exists(), "its state is elsewhere");
    let _worker = yard.start_worker("");
    let client = yard.start_changeport(&["run", "count"]);
    wait_for_half_way(&yard);
    master.kill();
    let mut master = yard.start_master();
    master.wait_for("worker w1 attached");
    open_gate(&yard);
    let finished = client.finish();
    assert_eq!(finished.code(), 3, "{}", finished.err());
    assert_eq!(finished.stdout, expected_output());
    assert_eq!(yard.witnesses().ran().len(), 1);
    assert_eq!(yard.results("count", 1), ["FAILURE"]);
}

#[test]
fn what_postgresql_was_told_waits_for_a_worker_over_restarts() {
    let Some((yard, _database)) = yard_on("a queue", |_yard| ONE.to_owned()) else { return };
    let master = yard.start_master();
    for number in 1..=5 {
        let argument = format!("{number} \u{e4}\n");
        let submitted = yard.changeport(&["submit", "one", &argument]);
        assert_eq!(submitted.out(), format!("one#{number}\n"), "{}", submitted.err());
    }
    master.kill();
    let (code, log) = yard.start_master().stop();
    assert_eq!(code, 0, "{log}");
    let _master = yard.start_master();
    assert_eq!(yard.ask(&["queue"]).len(), 5);
    let _worker = yard.start_worker("");
    assert_eq!(yard.results("one", 5), ["SUCCESS"; 5]);
    for number in 1..=5 {
        let log = yard.log_of(&format!("one#{number}"));
        assert_eq!(log, format!("[{number} \u{e4}\n]").as_bytes());
    }
}

/// Starts a second master with the same database and nothing else in common.
fn assert_second_is_refused(yard: &Yard) {
    let text = fs::read_to_string(yard.path("master.toml")).expect("the yard is ours");
    let text = text.replace("data = \"master\"", "data = \"master2\"");
    let text = text.replace("control.sock", "control2.sock").replace("change.sock", "change2.sock");
    yard.write("second.toml", &text);
    let second = finish(yard.bare_master_command().arg("--config").arg(yard.path("second.toml")));
    assert_ne!(second.code(), 0);
    assert!(second.err().contains("another master holds the database"), "{}", second.err());
}

#[test]
fn a_second_master_on_the_same_postgresql_database_is_refused() {
    let Some((yard, _database)) = yard_on("two masters", |_yard| ONE.to_owned()) else {
        return;
    };
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_second_is_refused(&yard);
    assert_eq!(yard.changeport(&["run", "one", "x"]).out(), "[x]");
}

#[test]
fn a_cut_connection_to_postgresql_loses_nothing() {
    let Some((yard, database)) = yard_on("a cut connection", |_yard| ONE.to_owned()) else {
        return;
    };
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    for round in 1..=4 {
        let client = yard.start_changeport(&["run", "one", "during"]);
        database.cut_connections();
        let during = client.finish();
        assert_eq!((during.code(), during.out().as_str()), (0, "[during]"), "{}", during.err());
        database.cut_connections();
        let after = yard.changeport(&["run", "one", "after"]);
        assert_eq!((after.code(), after.out().as_str()), (0, "[after]"), "{}", after.err());
        yard.results("one", 2 * round);
    }
    assert_second_is_refused(&yard);
}

/// A yard whose master keeps its state on a server of its own, which can be frozen.
fn yard_on_own(test: &str, more: impl FnOnce(&Yard) -> String) -> Option<(Yard, Postgres)> {
    let database = Postgres::of_its_own(&format!("end-to-end on PostgreSQL, {test}"))?;
    let yard = Yard::new("");
    yard.configure_with_state(&database.url(), &more(&yard));
    Some((yard, database))
}

fn one_and_counting(yard: &Yard) -> String {
    format!("{}{ONE_MORE}", counting(yard))
}

fn stops_within_two_seconds(master: Daemon) {
    let since = Instant::now();
    let (code, log) = master.stop();
    assert_eq!(code, 0, "{log}");
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

#[test]
fn a_frozen_server_holds_work_up_and_loses_none() {
    let Some((yard, database)) = yard_on_own("a frozen server", one_and_counting) else {
        return;
    };
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    let counts = yard.start_changeport(&["run", "count"]);
    wait_for_half_way(&yard);
    database.server().freeze();
    open_gate(&yard);
    let waits = yard.start_changeport(&["run", "one", "x"]);
    let asked = yard.master(&["builds"]);
    assert_eq!(asked.code(), 69, "{}", asked.err());
    assert!(asked.err().contains("did not answer"), "{}", asked.err());
    master.wait_for("the database does not answer");
    assert!(!master.log().contains("is gone"), "workers stay connected: {}", master.log());
    database.server().thaw();
    let counted = counts.finish();
    assert_eq!((counted.code(), counted.stdout), (3, expected_output()));
    let waited = waits.finish();
    assert_eq!((waited.code(), waited.out().as_str()), (0, "[x]"), "{}", waited.err());
    assert_eq!(yard.results("count", 1), ["FAILURE"]);
    assert_eq!(yard.results("one", 1), ["SUCCESS"]);
    assert_eq!(yard.witnesses().ran().len(), 1);
    assert!(!master.log().contains("is gone"), "{}", master.log());
}

#[test]
fn a_master_ends_within_two_seconds_while_its_server_is_frozen() {
    let Some((yard, database)) = yard_on_own("a stop while frozen", one_and_counting) else {
        return;
    };
    let master = yard.start_master();
    let _worker = yard.start_worker("");
    let counts = yard.start_changeport(&["run", "count"]);
    wait_for_half_way(&yard);
    database.server().freeze();
    stops_within_two_seconds(master);
    // A start waits for the server, and can be told to end as well.
    stops_within_two_seconds(yard.start_master_unready());
    database.server().thaw();
    let mut master = yard.start_master();
    master.wait_for("worker w1 attached");
    open_gate(&yard);
    let counted = counts.finish();
    assert_eq!((counted.code(), counted.stdout), (3, expected_output()));
    assert_eq!(yard.results("count", 1), ["FAILURE"]);
    assert_eq!(yard.witnesses().ran().len(), 1);
}
