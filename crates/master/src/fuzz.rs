//! The targets of this crate for a fuzzer, each beside what it is about.

pub use crate::change_source::git_poll::fuzz::git_output;
pub use crate::cli::fuzz::terminal;
pub use crate::log::fuzz::log_range;
pub use crate::settings::fuzz::master_toml;
