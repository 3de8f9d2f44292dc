//! The real program against a master of few words: each test is both the caller and the master.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod following;
mod leaving;
mod master;
mod process;
mod refusals;
mod submitting;
mod verbs;
mod waiting;
