//! One suite, run on both databases: `suite!` makes a test of each for every scenario.

mod arbitrary;
mod backup;
mod batch;
mod damage;
pub(crate) mod fault;
mod fixture;
pub(super) mod plans;
mod questions;
mod round_trip;
mod schema;
mod silence;
mod speed;
mod takeover;

/// Makes a test on SQLite and one on PostgreSQL of each scenario `async fn(Yard)`.
macro_rules! suite {
    ($($scenario:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $scenario() {
                $crate::store::tests::fixture::on_sqlite(super::$scenario);
            })+
        }
        mod postgres {
            $(#[test]
            fn $scenario() {
                $crate::store::tests::fixture::on_postgres(stringify!($scenario), super::$scenario);
            })+
        }
    };
}
use suite;
