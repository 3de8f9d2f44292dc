//! The wire: frames, limits and message types shared by the daemons and the clients.
//!
//! Sans-I/O: bytes go in, frames come out; whoever owns a socket does the reading and writing.
//! Every message type is one struct in `message/`, known by its number in `kind`.
//! Invariants: nothing a peer sends can panic, recurse or allocate beyond the limits in `limits`;
//! arguments, environment values and paths travel as exact bytes (`Bytes`).
//! The reader's guide to the protocol is `docs/protocol.md`.

mod bytes;
#[cfg(feature = "tokio")]
pub mod codec;
pub mod feature;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod kind;
pub mod limits;
pub mod message;
pub mod record;
mod scan;
mod word;

/// The version of this build. Who builds packages may set another than the source's, as in
/// `YARDMASTER_BUILD=0.1.0-2 cargo build`.
pub const VERSION: &str = match option_env!("YARDMASTER_BUILD") {
    Some(build) => build,
    None => env!("CARGO_PKG_VERSION"),
};

pub use bytes::Bytes;
pub use frame::{DecodeError, EncodeError, Frame, FrameReader, Message, encode};
