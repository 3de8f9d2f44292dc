//! The control of the power cuts: what was not synced has to be gone, or they prove nothing.

use std::path::Path;

use anyhow::{Context as _, ensure};
use e2e::Volume;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};

const ROWS: i64 = 40;

/// Cuts the power of two databases: the one that does not sync has to lose rows, the one that
/// does must not. Returns why this cannot be tried here.
pub(crate) fn prove() -> anyhow::Result<Option<String>> {
    let folder = tempfile::Builder::new().prefix("ym").tempdir_in("/tmp");
    let folder = folder.context("make a folder")?;
    let place = folder.path().join("disk");
    let volume = match Volume::new(&place, 64) {
        Ok(volume) => volume,
        Err(reason) => return Ok(Some(reason)),
    };
    let careless = after_a_cut(&volume, &place.join("careless.db"), SqliteSynchronous::Normal)?;
    let careful = after_a_cut(&volume, &place.join("careful.db"), SqliteSynchronous::Full)?;
    ensure!(careful == ROWS, "{} synced rows are lost", ROWS - careful);
    ensure!(careless < ROWS, "no row is lost that was not synced");
    Ok(None)
}

/// Writes rows, cuts the power, and says how many there are afterwards.
fn after_a_cut(volume: &Volume, path: &Path, sync: SqliteSynchronous) -> anyhow::Result<i64> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().context("make a runtime")?;
    runtime.block_on(async {
        let mut connection = open(path, sync).await?;
        let make = "CREATE TABLE IF NOT EXISTS kept (n INTEGER) STRICT";
        sqlx::query(make).execute(&mut connection).await.context("make a table")?;
        connection.close().await.context("close a database")?;
        let mut connection = open(path, sync).await?;
        for n in 0..ROWS {
            let insert = sqlx::query("INSERT INTO kept (n) VALUES ($1)").bind(n);
            insert.execute(&mut connection).await.context("write a row")?;
        }
        volume.cut_power();
        // It cannot be closed in good order any more.
        drop(connection.close_hard().await);
        volume.restore_power();
        let mut connection = open(path, sync).await?;
        let count = sqlx::query("SELECT count(*) AS n FROM kept");
        let count = count.fetch_one(&mut connection).await.context("count rows")?.get("n");
        connection.close().await.context("close a database")?;
        Ok(count)
    })
}

async fn open(path: &Path, sync: SqliteSynchronous) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(sync);
    options.connect().await.context("open a database")
}
