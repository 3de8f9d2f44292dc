//! The rules of the engine, one table or story each, through its public interface.
//!
//! `yard` drives an engine by events as the shells do, with workers that do what they are told;
//! the configuration is the text an administrator writes.

mod admission;
mod audience;
mod backup;
mod building;
mod cancelling;
mod collapsing;
mod conditions;
mod configured;
mod draining;
mod giving_up;
mod importance;
mod launching;
mod locking;
mod placing;
mod priorities;
mod properties;
mod queueing;
mod reloading;
mod results;
mod scheduling;
mod secrets;
mod stopping;
mod waits;
mod workers;
mod yard;
