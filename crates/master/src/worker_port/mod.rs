//! Where workers connect: tokens, handshake, and one session per connection.

mod complete;
mod given;
mod listener;
mod session;
mod token;

pub use listener::{Listener, ListenerParts, WorkerAdmission};
pub use token::{TokenFile, TokenFileError};
