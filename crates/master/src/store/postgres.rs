//! PostgreSQL: the same rows, and an advisory lock against a second master.
//!
//! The lock belongs to the writer's session. Should the session be lost and another master take
//! over, the epoch fences this one off at its next batch. A session whose connection was lost on
//! the way lives on at the server, with the lock and perhaps a transaction: it is ended there.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgConnection, PgPool};
use tokio::sync::Mutex;

use super::meta::{self, Meta};
use super::query::query;
use super::record::{ReadError, Record};
use super::run::{Run as _, STATEMENTS};
use super::{Start, StateUrl, StoreError, Writer, migrate, patience, sanity};

/// The advisory lock of a master, in whatever database it uses: "yardmast".
pub(super) const LOCK: i64 = 0x7961_7264_6d61_7374;
const READERS: u32 = 4;
/// A server needs a moment to notice that a former session is gone: our own, or at a start that
/// of a master that was killed.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_ATTEMPTS_AT_START: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// What every session asks of the server. A client that vanished is noticed within a minute.
const SESSION: [(&str, &str); 5] = [
    ("synchronous_commit", "on"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("tcp_keepalives_idle", "20"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
];

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
        let options = prepare(options.clone(), start);
        let unopened = |source| StoreError::Open { url: url.to_string(), source };
        let mut connection = connect(&options).await.map_err(unopened)?;
        require_utf8(&mut connection).await?;
        wait_for_lock(&mut connection, LOCK_ATTEMPTS_AT_START).await?;
        migrate::run(&mut connection, migrate::POSTGRES, start.wall_us).await?;
        sanity::check(&mut connection).await?;
        let meta = meta::epoch_raise(&mut connection, start.incarnation).await?;
        let readers = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(patience::CONNECT)
            .connect_lazy_with(options.clone());
        Ok((Self { writer: Writer::new(connection, &meta), readers, options }, meta))
    }

    /// Replaces the writer's session, unless another master took over.
    pub(super) async fn relink(&self, writer: &mut Writer<PgConnection>) -> Result<(), StoreError> {
        const DOING: &str = "connect to the database again";
        let mut fresh = connect(&self.options).await.map_err(StoreError::query(DOING))?;
        if meta::get(&mut fresh).await?.epoch != writer.epoch {
            return Err(StoreError::Deposed);
        }
        // Nothing is left to be said to the former connection; dropping it closes it.
        drop(std::mem::replace(&mut writer.connection, fresh));
        end_former_sessions(&mut writer.connection).await?;
        wait_for_lock(&mut writer.connection, LOCK_ATTEMPTS).await
    }
}

pub(super) async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    patience::within(patience::CONNECT, options.connect()).await
}

/// Ends every other session of this very start that has the lock; that of another master stays.
async fn end_former_sessions(connection: &mut PgConnection) -> Result<(), StoreError> {
    let question = query!(
        "SELECT CASE WHEN pg_terminate_backend(pid) THEN 1::BIGINT ELSE 0 END AS ended \
         FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
         AND datname = current_database() AND usename = current_user \
         AND application_name = current_setting('application_name') \
         AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
         AND (classid::BIGINT << 32) | objid::BIGINT = $1) ORDER BY pid",
        LOCK
    );
    let ended = connection.rows(question).await;
    ended.map(drop).map_err(StoreError::query("end the former session of the database"))
}

/// The name of the sessions tells this start from every other, whatever pids and hosts are called.
fn prepare(options: PgConnectOptions, start: Start) -> PgConnectOptions {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let (drawn, pid) = (start.incarnation & 0xffff_ffff, std::process::id());
    options
        .application_name(&format!("yardmaster-master {drawn:08x} pid {pid} on {host}"))
        .options(SESSION)
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
