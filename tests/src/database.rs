//! A look into a master's database, for what no program of ours would write there.

use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

/// Executes a statement on a database that no master has open.
///
/// # Panics
/// When that fails.
pub fn execute(database: &Path, statement: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("make a runtime");
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
        let mut connection = options.connect().await.expect("open the database");
        connection.execute(statement).await.expect("execute a statement");
        connection.close().await.expect("close the database");
    });
}
