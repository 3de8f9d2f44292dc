//! A database of either kind, asked by no program of ours.

use std::path::PathBuf;

use sqlx::postgres::{PgConnectOptions, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Decode, Row as _, Type};

use crate::database::block_on;

/// Where a master keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    Sqlite(PathBuf),
    /// By its address.
    Postgres(String),
}

/// A row as either gave it.
#[derive(Debug)]
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Database {
    /// Executes statements, the same text for both, and returns the rows of all of them.
    ///
    /// # Errors
    /// What the database says, such as that it is locked.
    pub fn ask(&self, statements: &str) -> sqlx::Result<Vec<Row>> {
        let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
        block_on(async {
            match self {
                Self::Sqlite(path) => {
                    let options = SqliteConnectOptions::new().filename(path);
                    let mut connection = options.connect().await?;
                    let rows = statements.fetch_all(&mut connection).await?;
                    connection.close().await?;
                    Ok(rows.into_iter().map(Row::Sqlite).collect())
                }
                Self::Postgres(url) => {
                    let options: PgConnectOptions = url.parse()?;
                    let mut connection = options.connect().await?;
                    let rows = statements.fetch_all(&mut connection).await?;
                    connection.close().await?;
                    Ok(rows.into_iter().map(Row::Postgres).collect())
                }
            }
        })
    }
}

impl Row {
    /// Returns the value of a column.
    ///
    /// # Panics
    /// When there is no such column, or it holds something else.
    pub fn get<T>(&self, column: &str) -> T
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite>,
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.get(column),
            Self::Postgres(row) => row.get(column),
        }
    }
}
