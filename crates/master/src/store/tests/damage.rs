//! A damaged SQLite file: refused at the start with what to do, never a panic, never other rows.

use std::fs;

use engine::row::{Build, Counter};
use engine::{Rows, Write};

use super::arbitrary::{build, samples};
use super::fixture::{Yard, block_on, on_sqlite};
use crate::store::{Start, StateUrl, Store, StoreError};

/// A database with some content, closed, as bytes.
fn healthy() -> Vec<u8> {
    let bytes = std::cell::OnceCell::new();
    on_sqlite(async |yard: Yard| {
        let store = yard.store().await;
        let mut rows = samples(build(), 40);
        for (id, row) in (0..).zip(&mut rows) {
            row.id = engine::BuildId(id);
            row.name.number = id;
            row.end = None;
        }
        store.commit(&rows.into_iter().map(Write::Build).collect::<Vec<_>>()).await.unwrap();
        let counter = |name: &str| Write::Counter(Counter { name: name.to_owned(), value: 40 });
        store.commit(&[counter("build"), counter("change")]).await.unwrap();
        store.close().await;
        bytes.set(fs::read(yard.file().unwrap()).unwrap()).unwrap();
    });
    bytes.into_inner().unwrap()
}

/// Opens these bytes as a database and reads all of it.
fn open_and_load(bytes: &[u8]) -> Result<Rows, StoreError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    fs::write(&path, bytes).unwrap();
    block_on(async {
        let url = StateUrl::Sqlite(path);
        let opened = Store::open(&url, Start { incarnation: 1, wall_us: 1 }).await?;
        let rows = opened.store.load().await;
        opened.store.close().await;
        rows
    })
}

#[test]
fn a_file_that_is_no_database_is_refused_with_what_to_do() {
    let error = open_and_load(&[7; 8192]).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("master db restore FILE"), "{error}");
}

#[test]
fn a_torn_page_is_found_at_the_start() {
    let mut bytes = healthy();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x55);
    let error = open_and_load(&bytes).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_truncated_file_is_found_at_the_start() {
    let bytes = healthy();
    let error = open_and_load(&bytes[..bytes.len() / 2]).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_flipped_byte_never_makes_another_plan_or_step() {
    let healthy = healthy();
    let written = open_and_load(&healthy).unwrap().builds;
    assert_eq!(written.len(), 40);
    let mut found = 0;
    for (at, mask) in samples((0..healthy.len(), 1..=255_u8), 400) {
        let mut bytes = healthy.clone();
        bytes[at] ^= mask;
        let Ok(rows) = open_and_load(&bytes) else {
            found += 1;
            continue;
        };
        for build in rows.builds {
            let is_known =
                |known: &Build| (&known.plan, &known.steps) == (&build.plan, &build.steps);
            assert!(written.iter().any(is_known), "byte {at} with {mask:#x}: {build:?}");
        }
    }
    // The rest lies in unused space, or in plain numbers and texts.
    assert!(found > 80, "{found} of 400");
}

#[test]
fn flipped_bytes_never_panic() {
    let healthy = healthy();
    open_and_load(&healthy).unwrap();
    let places = samples(proptest::collection::vec((0..healthy.len(), 1..=255_u8), 25), 40);
    for flips in places {
        let mut bytes = healthy.clone();
        for (at, mask) in flips {
            bytes[at] ^= mask;
        }
        // Content that was flipped inside a cell can go unseen; an error is fine, a panic is not.
        drop(open_and_load(&bytes));
    }
}

#[test]
fn a_counter_below_what_it_gave_out_is_refused() {
    on_sqlite(async |yard: Yard| {
        let store = yard.store().await;
        let mut rows = samples(build(), 1);
        (rows[0].id, rows[0].name.number) = (engine::BuildId(5), 5);
        let counter = Counter { name: "build".to_owned(), value: 5 };
        let writes = [Write::Build(rows.remove(0)), Write::Counter(counter)];
        store.commit(&writes).await.unwrap();
        store.close().await;
        yard.open().await.store.close().await;
        yard.execute("UPDATE counter SET value = 4 WHERE name = 'build'").await;
        let error = yard.try_open().await.unwrap_err();
        assert!(matches!(error, StoreError::Counters { .. }), "{error:?}");
        assert!(error.is_permanent());
        assert!(error.to_string().contains("stands at 4, and 5 is in use"), "{error}");
    });
}
