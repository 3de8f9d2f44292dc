//! Numbered byte streams within a connection, with credit.
//!
//! Ids have the parity of their opener (worker odd, master even) and are never reused. A sender
//! stays within the credit it was granted, so a flood on one stream starves nobody.

use serde::{Deserialize, Serialize};

use super::command::CommandId;
use super::messages;
use crate::Bytes;

messages! {
    StreamOpen = STREAM_OPEN;
    StreamData = STREAM_DATA;
    StreamCredit = STREAM_CREDIT;
}

/// Opens the stream of a command's log records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamOpen {
    pub stream: u32,
    pub command: CommandId,
    /// Record-stream offset of the first byte to come.
    pub offset: u64,
}

/// The next bytes of a stream; for logs always whole records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamData {
    pub stream: u32,
    pub bytes: Bytes,
}

/// Lets the sender of a stream put this many more bytes in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCredit {
    pub stream: u32,
    pub bytes: u64,
}
