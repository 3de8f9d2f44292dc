//! Clients: the change port for everybody, the control socket for administrators.
//!
//! Both speak the same messages; what differs is who may ask for what (`authority`).

mod authority;
mod callers;
mod configuration;
mod fingerprint;
mod follower;
mod identity;
mod listener;
mod log_range;
mod question;
mod request;
mod session;
mod socket_file;
mod submit;
mod users;

pub use callers::Callers;
pub(crate) use configuration::in_parts;
pub use listener::{Address, Door, Listener, ListenerParts};
pub use users::Users;
