//! Brings the tables up to date, one numbered file after the other.
//!
//! Each file is one transaction that also notes its number, so a start that is killed anywhere
//! goes on where it stopped. Files are only ever added.

use failpoint::Act;

use super::query::query;
use super::run::Run;
use super::{StoreError, patience};

/// One step of the schema, for one of the databases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Migration {
    pub(super) n: i64,
    pub(super) name: &'static str,
    pub(super) script: &'static str,
}

/// Declares the migrations of both databases, in order.
macro_rules! migrations {
    ($($n:literal $name:literal: $file:literal;)+) => {
        pub(super) const SQLITE: &[Migration] = &[$(Migration {
            n: $n,
            name: $name,
            script: include_str!(concat!("../../migrations/sqlite/", $file)),
        }),+];
        pub(super) const POSTGRES: &[Migration] = &[$(Migration {
            n: $n,
            name: $name,
            script: include_str!(concat!("../../migrations/postgres/", $file)),
        }),+];
    };
}

migrations! {
    1 "first": "0001_first.sql";
    2 "requests by owner": "0002_request_owner.sql";
    3 "command slot": "0003_command_slot.sql";
    4 "keys are facts": "0004_keys_are_facts.sql";
    5 "properties": "0005_properties.sql";
    6 "collapsing": "0006_collapsing.sql";
    7 "command locks": "0007_command_locks.sql";
    8 "request waits": "0008_request_waits.sql";
}

// BIGINT is what both read as an i64; SQLite takes any word for it.
const MIGRATION_TABLE: &str = "CREATE TABLE IF NOT EXISTS migration (\
    n BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_us BIGINT NOT NULL)";

/// Applies what is missing.
///
/// A connection on which this failed is to be dropped: that rolls back.
///
/// # Errors
/// `Newer` where the database knows a migration that this program does not.
pub(super) async fn run<C: Run>(
    connection: &mut C,
    migrations: &[Migration],
    wall_us: i64,
) -> Result<(), StoreError> {
    const DOING: &str = "make the table of migrations";
    connection.script(MIGRATION_TABLE).await.map_err(StoreError::query(DOING))?;
    let newest = newest(connection).await?;
    let known = migrations.last().map_or(0, |migration| migration.n);
    if newest > known {
        return Err(StoreError::Newer { found: newest, known });
    }
    for migration in migrations.iter().filter(|migration| migration.n > newest) {
        apply(connection, migration, wall_us).await.map_err(|source| StoreError::Migrate {
            n: migration.n,
            name: migration.name,
            source,
        })?;
    }
    Ok(())
}

/// Returns the number of the newest migration that this program knows.
pub(super) fn known() -> i64 {
    SQLITE.last().map_or(0, |migration| migration.n)
}

/// Returns the number of the last migration of a database that has any.
pub(super) async fn newest<C: Run>(connection: &mut C) -> Result<i64, StoreError> {
    const DOING: &str = "read which migrations were applied";
    let newest = query!("SELECT n FROM migration ORDER BY n DESC LIMIT 1");
    let records = connection.rows(newest).await.map_err(StoreError::query(DOING))?;
    let n = records.first().map_or(Ok(0), |record| record.int("n"));
    n.map_err(StoreError::row(DOING))
}

async fn apply<C: Run>(
    connection: &mut C,
    migration: &Migration,
    wall_us: i64,
) -> sqlx::Result<()> {
    connection.script(C::BEGIN).await?;
    failpoint::before(Act::MigrationScript);
    connection.script_within(patience::MIGRATION, migration.script).await?;
    failpoint::after(Act::MigrationScript);
    let note = query!(
        "INSERT INTO migration (n, name, applied_us) VALUES ($1, $2, $3)",
        migration.n,
        migration.name,
        wall_us
    );
    connection.run(note).await?;
    failpoint::before(Act::MigrationCommit);
    connection.script("COMMIT").await?;
    failpoint::after(Act::MigrationCommit);
    Ok(())
}
