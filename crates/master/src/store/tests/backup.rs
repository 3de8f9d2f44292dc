//! Backups of SQLite: whole or found broken, and restored whatever cuts the restore off.

use std::fs;
use std::path::{Path, PathBuf};

use engine::row::Counter;
use engine::{Unfinished, Write};
use futures_util::FutureExt as _;

use super::arbitrary::{build, samples};
use super::fixture::{INCARNATION, Yard, on_sqlite};
use crate::store::backup::{self, BackupError, Seal};
use crate::store::restore::{self, RestoreError};
use crate::store::{CommitError, Start, StoreError, swap, verify};

const RESTORED: Start = Start { incarnation: 7, wall_us: 2 };

async fn make(from: &Path, to: &Path, taken_us: i64) -> Result<(), BackupError> {
    backup::draft(from, to, taken_us).await?.publish()
}

/// A database with builds and a counter, open, and a backup of it.
async fn backed_up(yard: &Yard) -> (crate::store::Store, PathBuf) {
    let store = yard.store().await;
    let mut rows = samples(build(), 40);
    for (id, row) in (1..).zip(&mut rows) {
        row.id = engine::BuildId(id);
        row.name.number = id;
        row.end = Some((engine::BuildResult::Success, 1));
    }
    let mut writes: Vec<Write> = rows.iter().cloned().map(Write::Build).collect();
    writes.extend(["build", "change"].map(|name| counter(name, 40)));
    let labels = rows.iter().map(|row| counter(&format!("#{}", row.name.label), 40));
    writes.extend(labels);
    store.commit(&writes).await.unwrap();
    let file = yard.file().unwrap().with_file_name("backup");
    make(&yard.file().unwrap(), &file, 9).await.unwrap();
    (store, file)
}

fn counter(name: &str, value: i64) -> Write {
    Write::Counter(Counter { name: name.to_owned(), value })
}

#[test]
fn a_backup_is_whole_until_any_byte_of_it_changes() {
    on_sqlite(async |yard: Yard| {
        let (store, file) = backed_up(&yard).await;
        store.commit(&[counter("change", 41)]).await.expect("the master goes on");
        assert_eq!(backup::check(&file).await.unwrap(), Seal::Whole { taken_us: 9 });
        let inspection = verify::file(&file, &mut |_| {}).await.unwrap();
        assert_eq!((inspection.findings, inspection.rows), (Vec::new(), 40));
        let healthy = fs::read(&file).unwrap();
        for (at, mask) in samples((0..healthy.len(), 1..=255_u8), 300) {
            let mut bytes = healthy.clone();
            bytes[at] ^= mask;
            fs::write(&file, bytes).unwrap();
            let seal = backup::check(&file).await.unwrap();
            assert!(!matches!(seal, Seal::Whole { .. }), "byte {at} with {mask:#x}");
        }
        for length in [0, 10, 4096, healthy.len() - 1] {
            fs::write(&file, &healthy[..length]).unwrap();
            assert!(!matches!(backup::check(&file).await.unwrap(), Seal::Whole { .. }), "{length}");
        }
        let files = fs::read_dir(file.parent().unwrap()).unwrap().flatten();
        let names: Vec<String> =
            files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        assert!(!names.iter().any(|name| name.starts_with('.') || name.starts_with("backup-")));
    });
}

#[test]
fn a_backup_overwrites_nothing_and_leaves_nothing_half_made() {
    on_sqlite(async |yard: Yard| {
        let (_store, file) = backed_up(&yard).await;
        let again = make(&yard.file().unwrap(), &file, 10).await;
        assert!(matches!(again, Err(BackupError::Exists { .. })), "{again:?}");
        let nowhere = file.with_file_name("no folder").join("backup");
        let failed = make(&yard.file().unwrap(), &nowhere, 10).await;
        assert!(matches!(failed, Err(BackupError::Write { .. })), "{failed:?}");
    });
}

#[test]
fn a_backup_that_is_cut_off_leaves_nothing() {
    on_sqlite(async |yard: Yard| {
        let (_store, file) = backed_up(&yard).await;
        fs::remove_file(&file).unwrap();
        for steps in 1..60 {
            let database = yard.file().unwrap();
            let mut draft = Box::pin(backup::draft(&database, &file, 10));
            for _ in 0..steps {
                if (&mut draft).now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(draft);
            let entries = fs::read_dir(file.parent().unwrap()).unwrap().flatten();
            let mut names = entries.map(|entry| entry.file_name().into_string().unwrap());
            let left = names.find(|name| name.contains("backup"));
            assert_eq!(left, None, "after {steps} steps");
        }
    });
}

#[test]
fn a_restored_database_gives_nothing_out_twice() {
    on_sqlite(async |yard: Yard| {
        let (store, file) = backed_up(&yard).await;
        let database = yard.file().unwrap();
        let restore =
            async || restore::restore(&file, &database, RESTORED, Unfinished::End, &[]).await;
        let running = restore().await;
        assert!(matches!(running, Err(RestoreError::Running(_))), "{running:?}");
        store.commit(&[counter("change", 41)]).await.unwrap();
        store.close().await;
        let restored = restore().await.unwrap();
        assert_eq!(restored.taken_us, 9);
        assert!(restored.kept.unwrap().join("state.db").exists());
        let opened = yard.open().await;
        // It begins beyond the backup, and beyond the database before.
        assert_eq!((opened.identity.incarnation, opened.identity.epoch), (7, 1_000_003));
        assert_eq!(opened.batch, 1_000_001);
        let counters = opened.store.load().await.unwrap().counters;
        let change = counters.iter().find(|counter| counter.name == "change").unwrap();
        assert_eq!(change.value, 1_000_041);
    });
}

#[test]
fn a_backup_that_is_restored_again_gives_nothing_out_that_its_first_restore_did() {
    on_sqlite(async |yard: Yard| {
        let (store, file) = backed_up(&yard).await;
        store.close().await;
        let database = yard.file().unwrap();
        let restore = async |start| {
            restore::restore(&file, &database, start, Unfinished::End, &[]).await.unwrap();
            let opened = yard.open().await;
            let counters = opened.store.load().await.unwrap().counters;
            (opened, counters)
        };
        let (opened, _) = restore(RESTORED).await;
        opened.store.commit(&[counter("change", 1_000_050), counter("#new", 3)]).await.unwrap();
        let first = opened.identity.epoch;
        opened.store.close().await;
        let (opened, counters) = restore(Start { wall_us: 5_000_000_000, ..RESTORED }).await;
        assert!(opened.identity.epoch > first + engine::GAP, "{}", opened.identity.epoch);
        for (name, least) in [("change", 1_000_050), ("#new", 3)] {
            let found = counters.iter().find(|counter| counter.name == name).unwrap();
            assert!(found.value >= least + engine::GAP, "{found:?}");
        }
        opened.store.close().await;
        // What is damaged tells nothing; then the clock has to do.
        fs::write(&database, "no database").unwrap();
        let (opened, _) = restore(Start { wall_us: 9_000_000_000_000, ..RESTORED }).await;
        assert_eq!(opened.identity.epoch, 9_000_000_001);
    });
}

#[test]
fn a_master_whose_database_was_replaced_under_it_writes_nothing() {
    on_sqlite(async |yard: Yard| {
        let store = yard.store().await;
        store.commit(&[counter("change", 1)]).await.unwrap();
        yard.execute("UPDATE meta SET incarnation = 1, epoch = epoch + 1000000").await;
        let error = store.commit(&[counter("change", 2)]).await.unwrap_err();
        assert!(matches!(error, CommitError::Deposed), "{error:?}");
    });
}

#[test]
fn a_backup_in_the_place_of_a_database_is_not_opened() {
    on_sqlite(async |yard: Yard| {
        let (store, file) = backed_up(&yard).await;
        store.close().await;
        fs::copy(&file, yard.file().unwrap()).unwrap();
        let refused = yard.try_open().await;
        assert!(matches!(refused, Err(StoreError::Backup { .. })), "{refused:?}");
        restore::adopt(&yard.url, RESTORED, Unfinished::End, &[]).await.unwrap();
        let identity = yard.open().await.identity;
        assert_ne!(identity.incarnation, INCARNATION);
    });
}

/// Files of a database and of a swap that was cut off.
fn cut_off(folder: &Path, files: &[&str]) -> PathBuf {
    for file in files {
        fs::write(folder.join(file), file).unwrap();
    }
    folder.join("state.db")
}

#[test]
fn a_swap_that_was_cut_off_anywhere_is_finished() {
    let old = ["state.db-wal", "state.db-shm", "state.db"];
    for moved in 0..=old.len() {
        let folder = tempfile::tempdir().unwrap();
        let database = cut_off(folder.path(), &old[moved..]);
        cut_off(folder.path(), &["state.db.restoring"]);
        let kept = swap::finish(&database).unwrap();
        assert_eq!(fs::read_to_string(&database).unwrap(), "state.db.restoring");
        for name in &old[moved..] {
            let path = kept.as_ref().unwrap().join(name);
            assert_eq!(fs::read_to_string(path).unwrap(), *name);
        }
        for name in ["state.db-wal", "state.db-shm", "state.db.restoring"] {
            assert!(!folder.path().join(name).exists(), "{name} after {moved}");
        }
        assert_eq!(swap::finish(&database).unwrap(), None, "once");
    }
}
