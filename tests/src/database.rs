//! A look into a master's database, for what no program of ours would write there.

use std::path::{Path, PathBuf};
use std::process::Command;

use private_postgres::Server;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, SqliteConnection};
use tokio::runtime::Runtime;

use crate::process::finish;

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

/// The write lock of an SQLite database, as an administrator's session holds it.
#[derive(Debug)]
pub struct SqliteLock {
    runtime: Runtime,
    connection: SqliteConnection,
}

impl SqliteLock {
    /// Takes the lock.
    ///
    /// # Panics
    /// When that fails.
    pub fn take(database: &Path) -> Self {
        let runtime = runtime();
        let options = SqliteConnectOptions::new().filename(database);
        let mut connection = runtime.block_on(options.connect()).expect("open the database");
        runtime.block_on(connection.execute("BEGIN EXCLUSIVE")).expect("lock the database");
        Self { runtime, connection }
    }

    /// Lets go of it.
    ///
    /// # Panics
    /// When that fails.
    pub fn release(mut self) {
        self.runtime.block_on(self.connection.execute("ROLLBACK")).expect("unlock the database");
        self.runtime.block_on(self.connection.close()).expect("close the database");
    }
}

/// A new database on the PostgreSQL server of this test run, or on one of its own.
#[derive(Debug)]
pub struct Postgres {
    socket_dir: PathBuf,
    name: String,
    own: Option<Server>,
}

impl Postgres {
    /// Makes a database, or says that the test is skipped where no server is installed.
    ///
    /// # Panics
    /// When the server does not make one.
    pub fn new(test: &str) -> Option<Self> {
        let socket_dir = private_postgres::socket_dir(test)?.to_owned();
        Some(Self { socket_dir, name: private_postgres::fresh_name(), own: None }.made())
    }

    /// The same on a server of its own, which can be frozen.
    ///
    /// # Panics
    /// When the server does not make one.
    pub fn of_its_own(test: &str) -> Option<Self> {
        let server = Server::of_its_own(test)?;
        let socket_dir = server.socket_dir().to_owned();
        Some(Self { socket_dir, name: private_postgres::fresh_name(), own: Some(server) }.made())
    }

    fn made(self) -> Self {
        self.administer(&format!("CREATE DATABASE {} TEMPLATE template0", self.name));
        self
    }

    /// Returns the server that can be frozen.
    ///
    /// # Panics
    /// When it is shared with other tests.
    pub fn server(&self) -> &Server {
        self.own.as_ref().expect("the server is of its own")
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

    /// Writes a dump of it, as an administrator does.
    ///
    /// # Panics
    /// When that fails.
    pub fn dump(&self, file: &Path) {
        let mut command = Command::new(private_postgres::program("pg_dump"));
        command.arg("--format=custom").arg("--file").arg(file).arg(self.url());
        let finished = finish(&mut command);
        assert!(finished.status.success(), "{}", finished.err());
    }

    /// Puts a dump into its place.
    ///
    /// # Panics
    /// When that fails.
    pub fn restore(&self, file: &Path) {
        let mut command = Command::new(private_postgres::program("pg_restore"));
        command.args(["--clean", "--if-exists", "--single-transaction"]);
        let finished = finish(command.arg("--dbname").arg(self.url()).arg(file));
        assert!(finished.status.success(), "{}", finished.err());
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

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("make a runtime")
}
