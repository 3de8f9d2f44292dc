//! The master: shells around the engine, which decides.

pub mod store;
