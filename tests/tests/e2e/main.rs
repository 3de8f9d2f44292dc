//! End-to-end tests: the real binaries, over real sockets, with real processes.

mod hangup;
mod launch;
mod restart;
