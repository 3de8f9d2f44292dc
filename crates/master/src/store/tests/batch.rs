//! Batches: all or nothing, fenced, with an outcome that is always known.

use engine::row::Counter;
use engine::{Identity, RequestId, Write};

use super::arbitrary::{request, samples};
use super::fixture::{INCARNATION, Yard};
use super::suite;
use crate::store::{CommitError, Committed, Store, StoreError};

suite! {
    every_start_has_a_higher_epoch_and_the_same_incarnation,
    of_several_writes_to_a_key_the_last_counts,
    a_batch_with_one_bad_row_leaves_nothing_behind,
    a_master_of_an_older_epoch_writes_nothing,
    a_second_master_is_refused_with_who_holds_the_database,
    after_a_dropped_commit_the_number_tells_the_outcome,
    an_empty_batch_takes_no_number,
}

fn counter(name: &str, value: i64) -> Write {
    Write::Counter(Counter { name: name.to_owned(), value })
}

async fn counters(store: &Store) -> Vec<(String, i64)> {
    let rows = store.load().await.unwrap();
    rows.counters.into_iter().map(|row| (row.name, row.value)).collect()
}

async fn every_start_has_a_higher_epoch_and_the_same_incarnation(yard: Yard) {
    for epoch in 1..=3 {
        let opened = yard.open().await;
        assert_eq!(opened.identity, Identity { incarnation: INCARNATION, epoch });
        assert_eq!(opened.batch, epoch - 1);
        let committed = opened.store.commit(&[counter("change", epoch)]).await.unwrap();
        assert_eq!(committed, Committed { batch: epoch });
        opened.store.close().await;
    }
}

async fn of_several_writes_to_a_key_the_last_counts(yard: Yard) {
    let store = yard.store().await;
    store.commit(&[counter("a", 1), counter("b", 2), counter("a", 3)]).await.unwrap();
    assert_eq!(counters(&store).await, [("a".to_owned(), 3), ("b".to_owned(), 2)]);
}

async fn a_batch_with_one_bad_row_leaves_nothing_behind(yard: Yard) {
    let store = yard.store().await;
    let mut rows = samples(request(), 2);
    (rows[0].id, rows[1].id) = (RequestId(1), RequestId(2));
    rows[1].name = rows[0].name.clone();
    let [first, second] = rows.try_into().unwrap();
    store.commit(&[Write::Request(first.clone())]).await.unwrap();
    let bad = [counter("a", 1), Write::Request(second)];
    let error = store.commit(&bad).await.unwrap_err();
    assert!(matches!(error, CommitError::RolledBack { batch: 2, .. }), "{error:?}");
    assert_eq!(counters(&store).await, []);
    assert_eq!(store.batch_now().await.unwrap(), 1);
    let committed = store.commit(&[counter("a", 1)]).await.unwrap();
    assert_eq!(committed, Committed { batch: 2 });
    assert_eq!(store.request_by_id(RequestId(1)).await.unwrap(), Some(first));
}

async fn a_master_of_an_older_epoch_writes_nothing(yard: Yard) {
    let store = yard.store().await;
    store.commit(&[counter("a", 1)]).await.unwrap();
    yard.execute("UPDATE meta SET epoch = epoch + 1").await;
    let error = store.commit(&[counter("a", 2)]).await.unwrap_err();
    assert!(matches!(error, CommitError::Deposed), "{error:?}");
    assert!(matches!(store.batch_now().await, Err(StoreError::Deposed)));
    assert!(matches!(store.log_put(&[]).await, Err(StoreError::Deposed)));
    assert_eq!(counters(&store).await, [("a".to_owned(), 1)]);
}

async fn a_second_master_is_refused_with_who_holds_the_database(yard: Yard) {
    let first = yard.open().await;
    let error = yard.try_open().await.unwrap_err();
    let message = format!("{:#}", anyhow::Error::from(error));
    assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
    assert!(message.contains("stop it first"), "{message}");
    first.store.commit(&[counter("a", 1)]).await.expect("the first goes on");
    first.store.close().await;
    yard.open().await;
}

async fn after_a_dropped_commit_the_number_tells_the_outcome(yard: Yard) {
    let store = yard.store().await;
    for polls in 1..40 {
        let before = store.batch_now().await.unwrap();
        let writes = [counter("a", polls)];
        let finished = poll_times(polls, store.commit(&writes)).await;
        let after = store.batch_now().await.unwrap();
        let value = counters(&store).await.first().map(|(_, value)| *value);
        assert_eq!(value == Some(polls), after == before + 1, "after {polls} polls");
        if let Some(committed) = finished {
            assert_eq!(committed.unwrap(), Committed { batch: after });
        }
    }
}

/// Polls a future a number of times at most and drops it then.
async fn poll_times<T>(polls: i64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
        std::task::Poll::Pending => {
            left -= 1;
            if left == 0 { std::task::Poll::Ready(None) } else { std::task::Poll::Pending }
        }
    })
    .await
}

async fn an_empty_batch_takes_no_number(yard: Yard) {
    let store = yard.store().await;
    assert_eq!(store.commit(&[]).await.unwrap(), Committed { batch: 0 });
    assert_eq!(store.commit(&[counter("a", 1)]).await.unwrap(), Committed { batch: 1 });
}

/// What only one of the databases can do to us.
mod only_postgres {
    use super::*;
    use crate::store::tests::fixture::on_postgres;

    #[test]
    fn a_killed_session_is_replaced_and_keeps_the_lock() {
        on_postgres("a_killed_session_is_replaced_and_keeps_the_lock", async |yard: Yard| {
            let store = yard.store().await;
            store.commit(&[counter("a", 1)]).await.unwrap();
            yard.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks \
                 WHERE locktype = 'advisory' AND database = \
                 (SELECT oid FROM pg_database WHERE datname = current_database())",
            )
            .await;
            let error = store.commit(&[counter("a", 2)]).await.unwrap_err();
            assert!(matches!(error, CommitError::Unknown { batch: 2, .. }), "{error:?}");
            assert_eq!(store.batch_now().await.unwrap(), 1);
            assert_eq!(store.commit(&[counter("a", 2)]).await.unwrap(), Committed { batch: 2 });
            assert!(matches!(yard.try_open().await, Err(StoreError::Held { .. })));
        });
    }
}

/// What only one of the databases can do to us.
mod only_sqlite {
    use sqlx::{ConnectOptions as _, Connection as _};

    use super::*;
    use crate::store::tests::fixture::on_sqlite;

    #[test]
    fn a_database_locked_by_an_administrator_is_busy_and_then_goes_on() {
        on_sqlite(async |yard: Yard| {
            let store = yard.store().await;
            let file = yard.file().unwrap();
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
            let mut administrator = options.connect().await.unwrap();
            sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut administrator).await.unwrap();
            let error = store.commit(&[counter("a", 1)]).await.unwrap_err();
            assert!(matches!(error, CommitError::Busy { batch: 1, .. }), "{error:?}");
            sqlx::raw_sql("ROLLBACK").execute(&mut administrator).await.unwrap();
            administrator.close().await.unwrap();
            assert_eq!(store.commit(&[counter("a", 1)]).await.unwrap(), Committed { batch: 1 });
        });
    }

    #[test]
    fn a_full_disk_is_told_apart_and_work_goes_on_when_there_is_space() {
        on_sqlite(async |yard: Yard| {
            let store = yard.store().await;
            store.limit_pages("PRAGMA max_page_count = 1").await;
            let writes: Vec<Write> =
                (0..5_000).map(|n| counter(&format!("counter number {n}"), n)).collect();
            let error = store.commit(&writes).await.unwrap_err();
            assert!(matches!(error, CommitError::DiskFull { batch: 1, .. }), "{error:?}");
            store.limit_pages("PRAGMA max_page_count = 1000000").await;
            assert_eq!(store.commit(&writes).await.unwrap(), Committed { batch: 1 });
        });
    }

    impl Store {
        async fn limit_pages(&self, pragma: &'static str) {
            use crate::store::run::Run as _;
            let Self::Sqlite(sqlite) = self else { panic!("only SQLite has pages to limit") };
            sqlite.writer.lock().await.connection.script(pragma).await.unwrap();
        }
    }
}
