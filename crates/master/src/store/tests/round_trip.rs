//! What was written comes back, and only what lives is loaded.

use std::collections::BTreeMap;
use std::fmt::Debug;

use engine::row::RequestState;
use engine::{BuildId, ChangeId, RequestId, Rows, Write};

use super::arbitrary::{
    build, change, command, counter, heads, key, log, pending, request, samples,
};
use super::fixture::Yard;
use super::suite;

const ROWS: usize = 60;

suite! {
    every_row_comes_back_as_it_was_written,
    what_is_loaded_are_the_living_rows_as_last_written,
    keys_come_back_and_are_taken_once,
    sealed_logs_come_back,
}

/// Rows of every kind with distinct keys.
fn any_rows() -> Rows {
    let mut rows = Rows {
        counters: distinct(samples(counter(), ROWS), |row| row.name.clone()),
        changes: samples(change(), ROWS),
        heads: distinct(samples(heads(), ROWS), |row| row.source.clone()),
        pending: distinct(samples(pending(), ROWS), |row| {
            (row.scheduler.clone(), row.lane.clone())
        }),
        requests: samples(request(), ROWS),
        builds: samples(build(), ROWS),
        commands: distinct(samples(command(), ROWS), |row| row.id()),
    };
    // Ids and names cover both ends of the range and stay distinct.
    for (at, row) in rows.changes.iter_mut().enumerate() {
        row.id = ChangeId(end_of_range(at));
    }
    for (at, row) in rows.requests.iter_mut().enumerate() {
        row.id = RequestId(end_of_range(at));
        row.name.number = end_of_range(at);
    }
    for (at, row) in rows.builds.iter_mut().enumerate() {
        row.id = BuildId(end_of_range(at));
        row.name.number = end_of_range(at);
    }
    for (at, row) in rows.commands.iter_mut().enumerate() {
        row.build = BuildId(end_of_range(at));
    }
    rows
}

fn end_of_range(at: usize) -> i64 {
    let at = i64::try_from(at).unwrap();
    if at % 2 == 0 { i64::MIN + at } else { i64::MAX - at }
}

fn distinct<T, K: Ord>(rows: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    rows.into_iter().map(|row| (key(&row), row)).collect::<BTreeMap<_, _>>().into_values().collect()
}

fn writes(rows: &Rows) -> Vec<Write> {
    let Rows { counters, changes, heads, pending, requests, builds, commands } = rows.clone();
    let mut writes: Vec<Write> = counters.into_iter().map(Write::Counter).collect();
    writes.extend(changes.into_iter().map(Write::Change));
    writes.extend(heads.into_iter().map(Write::SourceHeads));
    writes.extend(pending.into_iter().map(Write::Pending));
    writes.extend(requests.into_iter().map(Write::Request));
    writes.extend(builds.into_iter().map(Write::Build));
    writes.extend(commands.into_iter().map(Write::Command));
    writes
}

/// Keeps what the engine would hold.
fn living(mut rows: Rows) -> Rows {
    rows.changes.retain(|row| row.holders > 0);
    rows.pending.retain(|row| !row.changes.is_empty());
    rows.requests.retain(|row| !matches!(row.state, RequestState::Done { .. }));
    rows.builds.retain(|row| row.end.is_none());
    rows.commands.retain(|row| !matches!(row.half.state, attempt::master::State::Sealed { .. }));
    rows
}

fn assert_same<T: PartialEq + Debug, K: Ord>(
    mut found: Vec<T>,
    mut expected: Vec<T>,
    key: impl Fn(&T) -> K,
) {
    found.sort_by_key(&key);
    expected.sort_by_key(&key);
    assert_eq!(found, expected);
}

/// A start refuses counters below what is in use, and the rows here are drawn.
fn exhaust_counters(rows: &mut Rows) {
    let names = ["change", "request", "build", "command"].map(str::to_owned);
    let drawn = rows.counters.drain(..).map(|counter| counter.name);
    let names: std::collections::BTreeSet<String> = drawn.chain(names).collect();
    let counters = names.into_iter().map(|name| engine::row::Counter { name, value: i64::MAX });
    rows.counters = counters.collect();
}

fn assert_same_rows(found: Rows, expected: Rows) {
    let Rows { counters, changes, heads, pending, requests, builds, commands } = expected;
    assert_same(found.counters, counters, |row| row.name.clone());
    assert_same(found.changes, changes, |row| row.id);
    assert_same(found.heads, heads, |row| row.source.clone());
    assert_same(found.pending, pending, |row| (row.scheduler.clone(), row.lane.clone()));
    assert_same(found.requests, requests, |row| row.id);
    assert_same(found.builds, builds, |row| row.id);
    assert_same(found.commands, commands, |row| row.id());
}

async fn every_row_comes_back_as_it_was_written(yard: Yard) {
    let store = yard.store().await;
    let rows = any_rows();
    store.commit(&writes(&rows)).await.unwrap();
    for row in rows.changes {
        assert_eq!(store.change_by_id(row.id).await.unwrap(), Some(row));
    }
    for row in rows.requests {
        assert_eq!(store.request_by_id(row.id).await.unwrap().as_ref(), Some(&row));
        assert_eq!(store.request_by_name(&row.name).await.unwrap(), Some(row));
    }
    for row in rows.builds {
        assert_eq!(store.build_by_id(row.id).await.unwrap().as_ref(), Some(&row));
        assert_eq!(store.build_by_name(&row.name, Some(row.rerun)).await.unwrap(), Some(row));
    }
    for row in rows.commands {
        assert_eq!(store.command_by_id(row.id()).await.unwrap().as_ref(), Some(&row));
        assert_eq!(store.commands_of(row.build).await.unwrap(), [row]);
    }
}

async fn keys_come_back_and_are_taken_once(yard: Yard) {
    let store = yard.store().await;
    let rows = distinct(samples(key(), ROWS), |row| (row.principal.clone(), row.key.clone()));
    let writes: Vec<Write> = rows.iter().cloned().map(Write::SubmissionKey).collect();
    store.commit(&writes).await.unwrap();
    for row in &rows {
        let found = store.key_find(&row.principal, &row.key).await.unwrap();
        assert_eq!(found.as_ref(), Some(row));
    }
    assert!(store.commit(&writes[..1]).await.is_err());
    let found = store.key_find(&rows[0].principal, &rows[0].key).await.unwrap();
    assert_eq!(found.as_ref(), Some(&rows[0]), "the first answer stands");
}

async fn what_is_loaded_are_the_living_rows_as_last_written(yard: Yard) {
    let store = yard.store().await;
    let first = any_rows();
    store.commit(&writes(&first)).await.unwrap();
    assert_same_rows(store.load().await.unwrap(), living(first.clone()));
    // The same keys with everything else exchanged: every column must be replaced.
    let mut second = first.clone();
    second.changes.reverse();
    second.requests.reverse();
    second.builds.reverse();
    for (row, old) in second.changes.iter_mut().zip(&first.changes) {
        row.id = old.id;
    }
    for (row, old) in second.requests.iter_mut().zip(&first.requests) {
        (row.id, row.name) = (old.id, old.name.clone());
    }
    for (row, old) in second.builds.iter_mut().zip(&first.builds) {
        (row.id, row.name) = (old.id, old.name.clone());
    }
    rotate(&mut second.counters, |row, other| row.value = other.value);
    rotate(&mut second.heads, |row, other| row.heads = other.heads);
    rotate(&mut second.pending, |row, other| {
        (row.changes, row.armed_us, row.stable_us) =
            (other.changes, other.armed_us, other.stable_us);
    });
    rotate(&mut second.commands, |row, other| {
        let (id, build) = (row.id(), row.build);
        *row = engine::row::Command { build, ..other };
        row.half.id = id;
    });
    store.commit(&writes(&second)).await.unwrap();
    assert_same_rows(store.load().await.unwrap(), living(second.clone()));
    exhaust_counters(&mut second);
    store.commit(&writes(&second)).await.unwrap();
    store.close().await;
    let again = yard.store().await;
    assert_same_rows(again.load().await.unwrap(), living(second));
}

/// Gives every row what the next one has.
fn rotate<T: Clone>(rows: &mut [T], give: impl Fn(&mut T, T)) {
    let old = rows.to_vec();
    for (row, other) in rows.iter_mut().zip(old.iter().cycle().skip(1)) {
        give(row, other.clone());
    }
}

async fn sealed_logs_come_back(yard: Yard) {
    let store = yard.store().await;
    let logs = samples(log(), ROWS);
    store.log_put(&logs).await.unwrap();
    for log in &logs {
        assert_eq!(store.log_of(log.command).await.unwrap().as_ref(), Some(log));
    }
    let mut replaced = logs[0].clone();
    replaced.sealed_us = replaced.sealed_us.wrapping_add(1);
    store.log_put(std::slice::from_ref(&replaced)).await.unwrap();
    assert_eq!(store.log_of(replaced.command).await.unwrap(), Some(replaced));
}
