//! A server that does not answer and closes no connection: frozen, or behind a black hole.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::Write as Row;
use engine::row::Counter;
use private_postgres::Server;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use super::fixture::{INCARNATION, block_on};
use crate::store::patience::{ANSWER, CONNECT};
use crate::store::{CommitError, Committed, Start, StateUrl, Store, StoreError};

/// Above the limit of a wait, for a busy machine.
const LATE: Duration = Duration::from_secs(5);

fn counter(value: i64) -> [Row; 1] {
    [Row::Counter(Counter { name: "a".to_owned(), value })]
}

async fn value(store: &Store) -> i64 {
    store.load().await.unwrap().counters.first().map_or(0, |counter| counter.value)
}

async fn try_open(socket_dir: &Path) -> Result<Store, StoreError> {
    let text = format!("postgres:///yard?host={}&user=postgres", socket_dir.display());
    let url = StateUrl::parse(&text, Path::new("/")).unwrap();
    let opened = Store::open(&url, Start { incarnation: INCARNATION, wall_us: 1 }).await?;
    Ok(opened.store)
}

/// Runs a scenario on a server that nobody else uses, with an empty database `yard`.
fn on_own_server(test: &str, scenario: &impl AsyncFn(&Server)) {
    let Some(server) = Server::of_its_own(test) else { return };
    block_on(async {
        let admin = format!("postgres:///postgres?host={}", server.socket_dir().display());
        let admin: sqlx::postgres::PgConnectOptions = admin.parse().unwrap();
        let mut admin = admin.username("postgres").connect().await.unwrap();
        let create = AssertSqlSafe("CREATE DATABASE yard TEMPLATE template0");
        sqlx::raw_sql(create).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        scenario(&server).await;
    });
}

#[test]
fn a_frozen_server_is_waited_for_for_a_while_and_goes_on() {
    on_own_server("a frozen server", &async |server: &Server| {
        let store = try_open(server.socket_dir()).await.unwrap();
        store.commit(&counter(1)).await.unwrap();
        server.freeze();
        let since = Instant::now();
        let counter2 = counter(2);
        let (committed, read) = tokio::join!(store.commit(&counter2), store.key_find("a", "b"));
        assert!(matches!(committed, Err(CommitError::Unknown { batch: 2, .. })), "{committed:?}");
        assert!(matches!(read, Err(StoreError::Query { .. })), "{read:?}");
        assert!(since.elapsed() < ANSWER + LATE, "{:?}", since.elapsed());
        let since = Instant::now();
        let error = store.batch_now().await.unwrap_err();
        assert!(!error.is_final(), "{error:?}");
        let other = try_open(server.socket_dir()).await.unwrap_err();
        assert!(matches!(other, StoreError::Open { .. }), "{other:?}");
        assert!(since.elapsed() < 2 * CONNECT + LATE, "{:?}", since.elapsed());
        server.thaw();
        let batch = store.batch_now().await.unwrap();
        assert_eq!(value(&store).await, batch, "the number tells the outcome");
        let committed = store.commit(&counter(batch + 1)).await.unwrap();
        assert_eq!(committed, Committed { batch: batch + 1 });
        // More than the pool has readers.
        for _ in 0..8 {
            store.key_find("a", "b").await.unwrap();
        }
    });
}

#[test]
fn a_commit_whose_answer_was_swallowed_is_found_and_the_lost_session_is_ended() {
    on_own_server("a black hole", &async |server: &Server| {
        let hole = Hole::before(server.socket_dir());
        let store = try_open(hole.dir.path()).await.unwrap();
        store.commit(&counter(1)).await.unwrap();
        let before = hole.sent.load(Ordering::SeqCst);
        store.commit(&counter(2)).await.unwrap();
        let requests = hole.sent.load(Ordering::SeqCst) - before;
        // The last request of a batch is its COMMIT: it arrives, and nothing comes back.
        hole.swallow_after(requests);
        let error = store.commit(&counter(3)).await.unwrap_err();
        assert!(matches!(error, CommitError::Unknown { batch: 3, .. }), "{error:?}");
        assert_eq!(store.batch_now().await.unwrap(), 3);
        assert_eq!(value(&store).await, 3);
        assert_eq!(store.commit(&counter(4)).await.unwrap(), Committed { batch: 4 });
        let second = try_open(server.socket_dir()).await;
        assert!(matches!(second, Err(StoreError::Held { .. })), "the lock is ours again");
    });
}

/// Passes connections on to a server, and loses what comes back without closing them.
struct Hole {
    dir: TempDir,
    /// Requests passed on so far.
    sent: Arc<AtomicUsize>,
    /// Of the connections there are, the answers after so many requests are swallowed.
    swallow: Arc<Mutex<Option<(usize, usize)>>>,
    connections: Arc<AtomicUsize>,
}

impl Hole {
    fn before(server: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join(".s.PGSQL.5432")).unwrap();
        let hole = Self {
            dir,
            sent: Arc::default(),
            swallow: Arc::default(),
            connections: Arc::default(),
        };
        let target = server.join(".s.PGSQL.5432");
        let (sent, swallow) = (hole.sent.clone(), hole.swallow.clone());
        let connections = hole.connections.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = UnixStream::connect(&target) else { return };
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let sent_too = sent.clone();
                std::thread::spawn(move || {
                    pass(near, far, || {
                        sent_too.fetch_add(1, Ordering::SeqCst);
                        true
                    });
                });
                let (sent, swallow) = (sent.clone(), swallow.clone());
                std::thread::spawn(move || {
                    pass(far_too, near_too, || {
                        let swallow = *swallow.lock().unwrap();
                        let sent = sent.load(Ordering::SeqCst);
                        swallow.is_none_or(|(below, after)| number >= below || sent < after)
                    });
                });
            }
        });
        hole
    }

    /// Swallows every answer from the next `requests`-th request on, of the connections there are.
    fn swallow_after(&self, requests: usize) {
        let below = self.connections.load(Ordering::SeqCst);
        let after = self.sent.load(Ordering::SeqCst) + requests;
        *self.swallow.lock().unwrap() = Some((below, after));
    }
}

/// Passes bytes on for which `passes` says so. The end of a side is not told to the other.
fn pass(mut from: impl Read, mut to: impl Write, passes: impl Fn() -> bool) {
    let mut bytes = [0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if passes() && to.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
    // A black hole keeps connections open: both ends stay until the process ends.
    loop {
        std::thread::park();
    }
}
