//! PostgreSQL: the same rows, and an advisory lock against a second master.
//!
//! The lock belongs to the writer's session. Should the session be lost and another master take
//! over, the epoch fences this one off at its next batch.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};
use tokio::sync::Mutex;

use super::meta::{self, Meta};
use super::query::query;
use super::record::{ReadError, Record};
use super::run::{Run as _, STATEMENTS};
use super::{Start, StateUrl, StoreError, Writer, migrate};

/// The advisory lock of a master, in whatever database it uses: "yardmast".
pub(super) const LOCK: i64 = 0x7961_7264_6d61_7374;
const READERS: u32 = 4;
/// A server needs a moment to notice that a former session is gone: our own, or at a start that
/// of a master that was killed.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_ATTEMPTS_AT_START: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// An open PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    pub(super) writer: Mutex<Writer<PgConnection>>,
    pub(super) readers: PgPool,
    options: PgConnectOptions,
}

impl Postgres {
    pub(super) async fn open(
        options: &PgConnectOptions,
        url: &StateUrl,
        start: Start,
    ) -> Result<(Self, Meta), StoreError> {
        let options = prepare(options.clone());
        let unopened = |source| StoreError::Open { url: url.to_string(), source };
        let mut connection = options.connect().await.map_err(unopened)?;
        require_utf8(&mut connection).await?;
        wait_for_lock(&mut connection, LOCK_ATTEMPTS_AT_START).await?;
        migrate::run(&mut connection, migrate::POSTGRES, start.wall_us).await?;
        let meta = meta::epoch_raise(&mut connection, start.incarnation).await?;
        let readers =
            PgPoolOptions::new().max_connections(READERS).connect_lazy_with(options.clone());
        Ok((Self { writer: Writer::new(connection, &meta), readers, options }, meta))
    }

    /// Replaces the writer's session, unless another master took over.
    pub(super) async fn relink(&self, writer: &mut Writer<PgConnection>) -> Result<(), StoreError> {
        const DOING: &str = "connect to the database again";
        let mut fresh = self.options.connect().await.map_err(StoreError::query(DOING))?;
        if meta::get(&mut fresh).await?.epoch != writer.epoch {
            return Err(StoreError::Deposed);
        }
        // Ends our former session if it is still there; the lock of another master stays.
        let old = std::mem::replace(&mut writer.connection, fresh);
        if let Err(error) = old.close_hard().await {
            tracing::debug!("close the former session of the database: {error:#}");
        }
        wait_for_lock(&mut writer.connection, LOCK_ATTEMPTS).await
    }
}

fn prepare(options: PgConnectOptions) -> PgConnectOptions {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    options
        .application_name(&format!("yardmaster-master pid {} on {host}", std::process::id()))
        .options([("synchronous_commit", "on"), ("idle_in_transaction_session_timeout", "60s")])
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging()
}

async fn require_utf8(connection: &mut PgConnection) -> Result<(), StoreError> {
    const DOING: &str = "ask PostgreSQL for the encoding of the database";
    let question = query!("SELECT current_setting('server_encoding') AS encoding");
    let records = connection.rows(question).await.map_err(StoreError::query(DOING))?;
    let encoding = one(&records, |record| record.text("encoding"));
    match encoding.map_err(StoreError::row(DOING))? {
        encoding if encoding == "UTF8" => Ok(()),
        encoding => Err(StoreError::Encoding { encoding }),
    }
}

/// Takes the lock, or says who still holds it after a number of attempts.
async fn wait_for_lock(connection: &mut PgConnection, attempts: u32) -> Result<(), StoreError> {
    for _ in 1..attempts {
        if lock(connection).await? {
            return Ok(());
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    if lock(connection).await? { Ok(()) } else { Err(held(connection).await) }
}

/// Takes the lock if it is free; the session keeps it.
async fn lock(connection: &mut PgConnection) -> Result<bool, StoreError> {
    const DOING: &str = "lock the database";
    let question = query!(
        "SELECT CASE WHEN pg_try_advisory_lock($1) THEN 1::BIGINT ELSE 0 END AS locked",
        LOCK
    );
    let records = connection.rows(question).await.map_err(StoreError::query(DOING))?;
    let locked = one(&records, |record| record.int("locked")).map_err(StoreError::row(DOING))?;
    Ok(locked == 1)
}

/// Says who holds the lock, as well as it can.
async fn held(connection: &mut PgConnection) -> StoreError {
    let question = query!(
        "SELECT application_name || ', backend ' || pid::TEXT AS holder \
         FROM pg_locks JOIN pg_stat_activity USING (pid) \
         WHERE locktype = 'advisory' AND granted AND objsubid = 1 \
         AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
         AND (classid::BIGINT << 32) | objid::BIGINT = $1 ORDER BY pid",
        LOCK
    );
    let records = connection.rows(question).await.unwrap_or_default();
    let holder = one(&records, |record| record.text("holder"));
    StoreError::Held { holder: holder.unwrap_or_else(|_| "unknown".to_owned()) }
}

fn one<T>(records: &[Record], read: fn(&Record) -> Result<T, ReadError>) -> Result<T, ReadError> {
    records.first().map_or_else(|| Err(ReadError::new("", "no row came back")), read)
}
