//! No statement walks through a table that grows.
//!
//! Every statement that any test executes is recorded. The test here executes all of the
//! store's methods and asks SQLite how it would do what it saw.

use std::collections::BTreeSet;
use std::sync::Mutex;

use sqlx::{ConnectOptions as _, Row as _};

use super::fixture::{Yard, on_sqlite};
use crate::store::merge::BETWEEN;
use crate::store::{RevisionFile, revision_of};

static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Notes a statement.
pub(in crate::store) fn record(text: &str) {
    SEEN.lock().unwrap().extend(text.split(BETWEEN).map(str::to_owned));
}

/// Tables that stay small, or of which everything is wanted.
const SMALL: [&str; 5] = ["meta", "migration", "counter", "source_heads", "pending"];

#[test]
fn no_statement_scans_a_table_that_grows() {
    on_sqlite(async |yard: Yard| {
        execute_everything(&yard).await;
        let statements: Vec<String> = SEEN
            .lock()
            .unwrap()
            .iter()
            .filter(|text| text.contains(" FROM ") && !text.contains("pg_"))
            .cloned()
            .collect();
        assert!(statements.len() > 15, "{statements:?}");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(yard.file().unwrap());
        let mut connection = options.connect().await.unwrap();
        for statement in statements {
            let text = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            for row in sqlx::raw_sql(text).fetch_all(&mut connection).await.unwrap() {
                let step: String = row.get("detail");
                assert!(!is_walk(&step), "{step}: {statement}");
            }
        }
    });
}

fn is_walk(step: &str) -> bool {
    let Some(rest) = step.strip_prefix("SCAN ") else {
        return step.starts_with("USE TEMP B-TREE") && !step.contains("ORDER BY");
    };
    let table = rest.split(' ').next().unwrap_or_default();
    !SMALL.contains(&table) && !rest.contains("_live") && !rest.contains("_held")
}

async fn execute_everything(yard: &Yard) {
    let store = yard.store().await;
    let name = engine::RequestName { label: config::Name::parse("ci").unwrap(), number: 1 };
    let id = attempt::CommandId { incarnation: 1, counter: 1 };
    let build = engine::BuildId(1);
    store.load().await.unwrap();
    store.batch_now().await.unwrap();
    store.change_by_id(engine::ChangeId(1)).await.unwrap();
    store.key_find("unix:host:1", "key").await.unwrap();
    store.request_by_id(engine::RequestId(1)).await.unwrap();
    store.request_by_name(&name).await.unwrap();
    store.request_ended("unix:host:1", 1).await.unwrap();
    store.build_list(None, None, 1).await.unwrap();
    store.build_list(Some("ci"), None, 1).await.unwrap();
    store.build_by_id(build).await.unwrap();
    store.build_by_name(&name, None).await.unwrap();
    store.build_by_name(&name, Some(1)).await.unwrap();
    store.commands_of(build).await.unwrap();
    store.command_by_id(id).await.unwrap();
    store.log_of(id).await.unwrap();
    let file = RevisionFile { path: Vec::new(), text: Vec::new() };
    store.revision_put(&revision_of(1, vec![file], 1)).await.unwrap();
    store.revision_get(1).await.unwrap();
    store.revision_newest().await.unwrap();
    store.request_builders().await.unwrap();
}
