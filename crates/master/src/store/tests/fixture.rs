//! An empty database for a test, on either engine, and ways to look at it from outside.

use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use tempfile::TempDir;

use crate::store::{Opened, Start, StateUrl, Store, StoreError};

/// The database of one test.
pub(super) struct Yard {
    pub(super) url: StateUrl,
    _dir: Option<TempDir>,
}

pub(super) const INCARNATION: u64 = 0xfedc_ba98_7654_3210;

/// Runs a scenario on SQLite.
pub(super) fn on_sqlite(scenario: impl AsyncFn(Yard)) {
    let dir = tempfile::tempdir().unwrap();
    let url = StateUrl::Sqlite(dir.path().join("state.db"));
    block_on(scenario(Yard { url, _dir: Some(dir) }));
}

/// Runs a scenario on a new database of the server that the tests share.
pub(super) fn on_postgres(name: &str, scenario: impl AsyncFn(Yard)) {
    let test = format!("store on PostgreSQL, {name}");
    let Some(socket) = private_postgres::socket_dir(&test) else { return };
    let admin = format!("postgres:///postgres?host={}&user=postgres", socket.display());
    let database = private_postgres::fresh_name();
    let text = format!("postgres:///{database}?host={}&user=postgres", socket.display());
    block_on(async {
        let admin: PgConnectOptions = admin.parse().unwrap();
        let mut admin = admin.connect().await.unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {database} TEMPLATE template0"));
        sqlx::raw_sql(create).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        let url = StateUrl::parse(&text, Path::new("/")).unwrap();
        scenario(Yard { url, _dir: None }).await;
    });
}

/// Runs a future to its end.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

impl Yard {
    pub(super) async fn open(&self) -> Opened {
        self.try_open().await.unwrap()
    }

    pub(super) async fn store(&self) -> Store {
        self.open().await.store
    }

    pub(super) async fn try_open(&self) -> Result<Opened, StoreError> {
        Store::open(&self.url, Start { incarnation: INCARNATION, wall_us: 1 }).await
    }

    /// The file of an SQLite database.
    pub(super) fn file(&self) -> Option<PathBuf> {
        match &self.url {
            StateUrl::Sqlite(path) => Some(path.clone()),
            StateUrl::Postgres(_) => None,
        }
    }

    /// Executes statements behind the store's back.
    pub(super) async fn execute(&self, text: &str) {
        let text = AssertSqlSafe(text.to_owned());
        match &self.url {
            StateUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
                let mut connection = options.connect().await.unwrap();
                sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            StateUrl::Postgres(options) => {
                let mut connection = options.connect().await.unwrap();
                sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// Executes a question behind the store's back; every column must be a text.
    pub(super) async fn texts(&self, sqlite: &str, postgres: &str) -> Vec<Vec<String>> {
        match &self.url {
            StateUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = options.connect().await.unwrap();
                let text = AssertSqlSafe(sqlite.to_owned());
                let rows = sqlx::raw_sql(text).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
            }
            StateUrl::Postgres(options) => {
                let mut connection = options.connect().await.unwrap();
                let text = AssertSqlSafe(postgres.to_owned());
                let rows = sqlx::raw_sql(text).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
            }
        }
    }
}
