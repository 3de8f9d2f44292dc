//! A start just after the death of the master before.

use std::cell::Cell;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::fixture::{Yard, on_postgres};
use crate::store::StateUrl;
use crate::store::postgres::LOCK;

#[test]
fn a_start_waits_until_the_server_notices_that_the_master_before_is_dead() {
    on_postgres("a start after a kill", async |yard: Yard| {
        let StateUrl::Postgres(options) = &yard.url else { return };
        let mut former = options.clone().application_name("former").connect().await.unwrap();
        let take = AssertSqlSafe(format!("SELECT pg_advisory_lock({LOCK})"));
        sqlx::raw_sql(take).execute(&mut former).await.unwrap();
        let gave_up = Cell::new(false);
        let starts = async {
            let opened = yard.try_open().await;
            gave_up.set(opened.is_err());
            opened
        };
        let dies = async {
            // The new one was refused the lock once.
            let question = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle' \
                AND datname = current_database() AND application_name LIKE 'yardmaster%' \
                AND query LIKE '%pg_try_advisory_lock%'";
            loop {
                let row = sqlx::raw_sql(question).fetch_one(&mut former).await.unwrap();
                if row.get::<i64, _>(0) > 0 || gave_up.get() {
                    break former.close_hard().await.unwrap();
                }
            }
        };
        let (opened, ()) = tokio::join!(starts, dies);
        opened.unwrap();
    });
}
