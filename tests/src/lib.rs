//! The harness of the end-to-end tests: real binaries, a master and workers of one's own.
//!
//! `Yard` is a folder with a configuration; `Daemon` a running process whose log is read line by
//! line, so that tests wait for events and never sleep. Nothing outlives its yard: when it is
//! dropped, every process that belongs to it is ended.

mod binaries;
mod daemon;
mod database;
mod door;
mod either;
mod groups;
mod memory;
mod port;
mod process;
mod raw;
mod relay;
mod repository;
mod sick_disk;
mod small_disk;
mod user_database;
mod volume;
mod witness;
mod yard;

pub use binaries::{Binary, Build, binary, binary_of, other_build};
pub use daemon::Daemon;
pub use database::{Postgres, SqliteLock, execute};
pub use door::{Door, open_doors};
pub use either::{Database, Row};
pub use groups::{groups_of, remove_group};
pub use memory::Memory;
pub use port::Port;
pub use process::{Finished, finish, wait_until};
pub use raw::Raw;
pub use relay::{Relay, Relayed};
pub use repository::Repository;
pub use sick_disk::{Ailment, Deed, Part, SickDisk, Toll};
pub use small_disk::SmallDisk;
pub use user_database::UserDatabase;
pub use volume::Volume;
pub use witness::Witnesses;
pub use yard::{Client, Yard};
