//! A look into a master's database, for what no program of ours would write there.

use std::path::Path;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

/// Executes a statement on an SQLite database that no master has open.
///
/// # Panics
/// When that fails.
pub fn execute(database: &Path, statement: &'static str) {
    block_on(async {
        let options = SqliteConnectOptions::new().filename(database);
        let mut connection = options.connect().await.expect("open the database");
        connection.execute(statement).await.expect("execute a statement");
        connection.close().await.expect("close the database");
    });
}

/// An SQLite database on which nobody else can write.
#[derive(Debug)]
pub struct Held {
    _connection: sqlx::SqliteConnection,
    _runtime: tokio::runtime::Runtime,
}

impl Held {
    /// Begins a transaction that keeps writers away until this is dropped.
    ///
    /// # Panics
    /// When the database cannot be had.
    pub fn new(database: &Path) -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().expect("make a runtime");
        let connection = runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(database);
            let mut connection = options.connect().await.expect("open the database");
            connection.execute("BEGIN IMMEDIATE").await.expect("begin a transaction");
            connection
        });
        Self { _connection: connection, _runtime: runtime }
    }
}

/// A new database on the PostgreSQL server of this test run.
#[derive(Debug)]
pub struct Postgres {
    socket_dir: &'static Path,
    name: String,
}

impl Postgres {
    /// Makes a database, or says that the test is skipped where no server is installed.
    ///
    /// # Panics
    /// When the server does not make one.
    pub fn new(test: &str) -> Option<Self> {
        let socket_dir = private_postgres::socket_dir(test)?;
        let database = Self { socket_dir, name: private_postgres::fresh_name() };
        database.administer(&format!("CREATE DATABASE {} TEMPLATE template0", database.name));
        Some(database)
    }

    /// Returns what a master's `state` is for it.
    pub fn url(&self) -> String {
        self.url_of(&self.name)
    }

    /// Ends every connection to it, as a restart of the server does.
    ///
    /// # Panics
    /// When the server does not.
    pub fn cut_connections(&self) {
        self.administer(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        ));
    }

    fn url_of(&self, name: &str) -> String {
        format!("postgres:///{name}?host={}&user=postgres", self.socket_dir.display())
    }

    fn administer(&self, statement: &str) {
        let options: PgConnectOptions =
            self.url_of("postgres").parse().expect("the address is well formed");
        block_on(async {
            let mut connection = options.connect().await.expect("connect to PostgreSQL");
            let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
            statement.execute(&mut connection).await.expect("execute a statement");
            connection.close().await.expect("close the connection");
        });
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("make a runtime").block_on(future)
}
