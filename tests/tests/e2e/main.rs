//! End-to-end tests: the real binaries, over real sockets, with real processes.

mod administrator;
mod backup;
mod bad_input;
mod bombs;
mod client;
mod crowd;
mod database;
mod descriptors;
mod environment;
mod flood;
mod full_disk;
mod git_poll;
mod hangup;
mod installed;
mod launch;
mod log_range;
mod postgresql;
mod restart;
mod rogue_worker;
mod slots;
mod sockets;
mod stopping;
mod submit;
mod user_lookup;
mod waiting;
mod worker;
