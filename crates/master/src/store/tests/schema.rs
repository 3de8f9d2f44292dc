//! Migrations: the same tables on both, resumed after a kill, never taken back.

use super::fixture::{Yard, on_postgres, on_sqlite};
use super::suite;
use crate::store::StoreError;
use crate::store::migrate::{self, Migration};
use crate::store::run::Run as _;

suite! {
    a_database_of_a_newer_version_is_refused_with_what_to_do,
    a_migration_that_is_cut_off_leaves_nothing_and_is_done_again,
    a_start_applies_only_what_is_missing,
}

async fn a_database_of_a_newer_version_is_refused_with_what_to_do(yard: Yard) {
    yard.store().await.close().await;
    yard.execute("INSERT INTO migration (n, name, applied_us) VALUES (99, 'later', 1)").await;
    let error = yard.try_open().await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("start that version"), "{error}");
}

async fn a_migration_that_is_cut_off_leaves_nothing_and_is_done_again(yard: Yard) {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    let pg_tables = "SELECT tablename::TEXT FROM pg_tables WHERE schemaname = 'public'";
    // The second statement fails, as if the server or we had died there.
    let torn = Migration { n: 1, name: "torn", script: "CREATE TABLE meta (x BIGINT); SELECT y;" };
    migrate_by_hand(&yard, &[torn]).await.unwrap_err();
    assert_eq!(yard.texts(tables, pg_tables).await, [["migration"]]);
    yard.store().await;
    assert!(yard.texts(tables, pg_tables).await.len() > 10);
}

async fn a_start_applies_only_what_is_missing(yard: Yard) {
    let first = Migration { n: 1, name: "a", script: "CREATE TABLE a (x BIGINT)" };
    let second = Migration { n: 2, name: "b", script: "CREATE TABLE b (x BIGINT)" };
    migrate_by_hand(&yard, &[first]).await.unwrap();
    migrate_by_hand(&yard, &[first, second]).await.unwrap();
    migrate_by_hand(&yard, &[first, second]).await.unwrap();
    let names = "SELECT name FROM migration ORDER BY n";
    assert_eq!(yard.texts(names, names).await, [["a"], ["b"]]);
}

/// Migrates over a connection that is cut at once, whatever happened.
async fn migrate_by_hand(yard: &Yard, migrations: &[Migration]) -> Result<(), StoreError> {
    use sqlx::{ConnectOptions as _, Connection as _};
    match &yard.url {
        crate::store::StateUrl::Sqlite(path) => {
            let options = sqlx::sqlite::SqliteConnectOptions::new();
            let options = options.filename(path).create_if_missing(true);
            let mut connection = options.connect().await.unwrap();
            let migrated = migrate::run(&mut connection, migrations, 1).await;
            // Dropping it would close the file at some later time, from another thread.
            connection.close_hard().await.unwrap();
            migrated
        }
        crate::store::StateUrl::Postgres(options) => {
            let mut connection = options.connect().await.unwrap();
            let migrated = migrate::run(&mut connection, migrations, 1).await;
            connection.close_hard().await.unwrap();
            migrated
        }
    }
}

const SQLITE_COLUMNS: &str = "SELECT t.name, c.name, CASE c.type WHEN 'INTEGER' THEN 'bigint' \
    WHEN 'BIGINT' THEN 'bigint' WHEN 'TEXT' THEN 'text' WHEN 'BLOB' THEN 'bytea' \
    ELSE 'unexpected ' || c.type END, CASE c.\"notnull\" WHEN 1 THEN 'NO' ELSE 'YES' END, \
    CAST(c.pk AS TEXT) \
    FROM sqlite_schema AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table' \
    ORDER BY t.name, c.cid";
const POSTGRES_COLUMNS: &str = "SELECT c.table_name::TEXT, c.column_name::TEXT, \
    c.data_type::TEXT, c.is_nullable::TEXT, coalesce(k.ordinal_position, 0)::TEXT \
    FROM information_schema.columns AS c \
    LEFT JOIN information_schema.key_column_usage AS k USING (table_schema, table_name, column_name) \
    WHERE c.table_schema = 'public' ORDER BY c.table_name COLLATE \"C\", c.ordinal_position";
const SQLITE_INDEXES: &str = "SELECT name, CASE WHEN sql LIKE '% WHERE %' \
    THEN substr(sql, instr(sql, ' WHERE ') + 7) ELSE '' END, \
    CASE WHEN sql LIKE 'CREATE UNIQUE%' THEN 'unique' ELSE '' END, \
    (SELECT group_concat(i.name, ',') FROM pragma_index_info(sqlite_schema.name) AS i) \
    FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name";
const POSTGRES_INDEXES: &str = "SELECT relname::TEXT, \
    translate(replace(coalesce(pg_get_expr(indpred, indrelid), ''), '::text', ''), '()', ''), \
    CASE WHEN indisunique THEN 'unique' ELSE '' END, \
    (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute \
     WHERE attrelid = indexrelid) \
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid \
    WHERE relnamespace = 'public'::regnamespace AND NOT indisprimary \
    ORDER BY relname COLLATE \"C\"";

#[test]
fn both_databases_have_the_same_columns_and_indexes() {
    let look = async |yard: Yard| {
        yard.store().await.close().await;
        let columns = yard.texts(SQLITE_COLUMNS, POSTGRES_COLUMNS).await;
        (columns, yard.texts(SQLITE_INDEXES, POSTGRES_INDEXES).await)
    };
    let seen = std::cell::RefCell::new(Vec::new());
    on_sqlite(async |yard| {
        let look = look(yard).await;
        seen.borrow_mut().push(look);
    });
    on_postgres("both_databases_have_the_same_columns_and_indexes", async |yard| {
        let look = look(yard).await;
        seen.borrow_mut().push(look);
    });
    let seen = seen.into_inner();
    assert!(seen[0].0.len() > 90 && seen[0].1.len() >= 8, "the questions find something");
    if let [(sqlite_columns, sqlite_indexes), (postgres_columns, postgres_indexes)] = &*seen {
        for (sqlite, postgres) in sqlite_columns.iter().zip(postgres_columns) {
            assert_eq!(sqlite, postgres);
        }
        assert_eq!(sqlite_columns.len(), postgres_columns.len());
        assert_eq!(sqlite_indexes, postgres_indexes);
    }
}

#[test]
fn both_lists_of_migrations_are_numbered_from_one() {
    for list in [migrate::SQLITE, migrate::POSTGRES] {
        let numbers: Vec<i64> = list.iter().map(|migration| migration.n).collect();
        let expected: Vec<i64> = (1..).take(list.len()).collect();
        assert_eq!(numbers, expected);
    }
}

#[test]
fn a_session_that_ends_inside_a_migration_leaves_nothing() {
    on_sqlite(async |yard: Yard| {
        use sqlx::{ConnectOptions as _, Connection as _};
        let options = sqlx::sqlite::SqliteConnectOptions::new();
        let options = options.filename(yard.file().unwrap()).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        connection.script("BEGIN IMMEDIATE").await.unwrap();
        connection.script(migrate::SQLITE[0].script).await.unwrap();
        // Dropping it would close the file at some later time, from another thread.
        connection.close().await.unwrap();
        yard.store().await;
    });
}
