//! `master locks`

use std::io::Write as _;
use std::path::Path;

use proto::message::question::{LockLine, Locks, LocksWanted};

use super::table::{duration, plain};
use super::{connect, print, print_json, table};

pub(super) fn main(config: &Path, json: bool) -> anyhow::Result<()> {
    let mut master = connect(config)?;
    master.send(&LocksWanted {})?;
    let Locks { locks } = master.receive()?;
    if json {
        return print_json("lock", &locks);
    }
    if locks.is_empty() {
        return print(|out| writeln!(out, "there are no locks: no [lock.NAME] is configured"));
    }
    let now = crate::clock::wall_us();
    let rows: Vec<Vec<String>> = locks.iter().flat_map(|lock| rows(lock, now)).collect();
    print(|out| table::write(out, &["LOCK", "OF", "MAX", "", "REQUEST", "ACCESS", "SINCE"], &rows))
}

/// The lock in the first row, with who has it and who waits in as many as they need.
fn rows(lock: &LockLine, now: i64) -> Vec<Vec<String>> {
    let place = |request: &str, step: &str, worker: &str| {
        let request = if request.is_empty() { "given up, may still run" } else { request };
        let step = if step.is_empty() { String::new() } else { format!("/{step}") };
        let worker = if worker.is_empty() { String::new() } else { format!(" on {worker}") };
        plain(&format!("{request}{step}{worker}"))
    };
    let held = lock.holders.iter().map(|one| {
        let who = place(&one.request, &one.step, &one.worker);
        ["held by".to_owned(), who, one.access.clone(), duration(now - one.since_us)]
    });
    let waiting = lock.waiters.iter().map(|one| {
        let mut who = place(&one.request, &one.step, &one.worker);
        if one.behind > 0 {
            who = format!("{who} and {} more", one.behind);
        }
        ["waits".to_owned(), who, one.access.clone(), duration(now - one.since_us)]
    });
    let mut rows: Vec<[String; 4]> = held.chain(waiting).collect();
    if rows.is_empty() {
        rows.push(["free".to_owned(), String::new(), String::new(), String::new()]);
    }
    let (scope, max) = match lock.scope.as_str() {
        "" => ("no longer configured", String::new()),
        "worker" => ("each worker", most(lock)),
        _ => ("the master", most(lock)),
    };
    let first = [plain(&lock.name), scope.to_owned(), max];
    let rest = [String::new(), String::new(), String::new()];
    let heads = std::iter::once(first).chain(std::iter::repeat(rest));
    heads.zip(rows).map(|(head, row)| head.into_iter().chain(row).collect()).collect()
}

fn most(lock: &LockLine) -> String {
    let special = lock.max_for_worker.iter().map(|(worker, max)| format!(", {worker} {max}"));
    format!("{}{}", lock.max, special.collect::<String>())
}
