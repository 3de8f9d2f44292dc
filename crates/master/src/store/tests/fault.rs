//! Faults of a database that tests elsewhere need; all SQL is here.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

/// Makes an SQLite database refuse every request whose label is `bad`.
pub(crate) async fn refuse_bad_requests(database: &Path) {
    const TRIGGER: &str = "CREATE TRIGGER refuse_bad BEFORE INSERT ON request \
         WHEN NEW.label = 'bad' BEGIN SELECT RAISE(ABORT, 'refused by a test'); END";
    let mut connection = SqliteConnectOptions::new().filename(database).connect().await.unwrap();
    sqlx::raw_sql(TRIGGER).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
