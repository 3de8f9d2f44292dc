//! Frames: a length, a kind, flags and a MessagePack body.
//!
//! Layout, all big-endian: `len u32` (of what follows), `kind u16`, `flags u8`, body.
//! Flag bit 0 is `must_understand`: a receiver that does not know the kind refuses the frame by
//! name; without it the frame is skipped.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::scan::{self, ScanError};
use crate::{kind, limits};

const HEADER_BYTES: usize = 7;
const LENGTH_BYTES: usize = 4;
const AFTER_LENGTH: usize = 3;
const MUST_UNDERSTAND: u8 = 1;

/// A message type with its number on the wire.
pub trait Message: Serialize + DeserializeOwned {
    /// The number from `kind`.
    const KIND: u16;
    /// Whether a receiver that does not know the kind has to refuse it.
    const MUST_UNDERSTAND: bool = true;
}

/// One frame as it came, its body not yet decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u16,
    pub flags: u8,
    pub body: Vec<u8>,
}

/// Why a message could not be put into a frame.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("encode a `{name}` message")]
    Body { name: &'static str, source: rmp_serde::encode::Error },
    #[error(
        "a `{name}` message of {size} bytes is over the limit of {limit} bytes; send less at once"
    )]
    TooLarge { name: &'static str, size: usize, limit: usize },
}

/// Why bytes from a peer were refused.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("frame of {size} bytes is over the limit of {limit} bytes")]
    TooLarge { size: usize, limit: usize },
    #[error("frame of {size} bytes is too short to hold a kind")]
    TooShort { size: usize },
    #[error("body of a `{name}` message: {source}")]
    Shape { name: &'static str, source: ScanError },
    #[error("body of a `{name}` message does not decode")]
    Body { name: &'static str, source: rmp_serde::decode::Error },
    #[error("a `{got}` message came where `{wanted}` was due")]
    Unexpected { got: &'static str, wanted: &'static str },
    #[error("message kind {kind} is unknown here and must be understood; upgrade this side")]
    UnknownKind { kind: u16 },
}

impl Frame {
    /// Decodes the body as `M`.
    ///
    /// # Errors
    /// `Unexpected` where the frame is of another kind, `Shape` and `Body` for a bad body.
    pub fn open<M: Message>(&self) -> Result<M, DecodeError> {
        if self.kind != M::KIND {
            return Err(DecodeError::Unexpected {
                got: kind::name(self.kind),
                wanted: kind::name(M::KIND),
            });
        }
        let name = kind::name(self.kind);
        scan::check(&self.body).map_err(|source| DecodeError::Shape { name, source })?;
        rmp_serde::from_slice(&self.body).map_err(|source| DecodeError::Body { name, source })
    }

    /// Says what to do with a kind this receiver does not know: skip it or refuse it.
    ///
    /// # Errors
    /// `UnknownKind` where the sender demanded to be understood.
    pub fn skip_unknown(&self) -> Result<(), DecodeError> {
        if self.flags & MUST_UNDERSTAND == 0 {
            return Ok(());
        }
        Err(DecodeError::UnknownKind { kind: self.kind })
    }
}

/// Encodes a message with its header, ready to be written.
///
/// # Errors
/// `TooLarge` when the frame would be over `limits::FRAME_BYTES`.
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, EncodeError> {
    let name = kind::name(M::KIND);
    let mut out = vec![0; HEADER_BYTES];
    let mut serializer = rmp_serde::Serializer::new(&mut out).with_struct_map();
    message.serialize(&mut serializer).map_err(|source| EncodeError::Body { name, source })?;
    let size = out.len() - HEADER_BYTES + AFTER_LENGTH;
    let too_large = || EncodeError::TooLarge { name, size, limit: limits::FRAME_BYTES };
    if size > limits::FRAME_BYTES {
        return Err(too_large());
    }
    let Ok(length) = u32::try_from(size) else { return Err(too_large()) };
    out[..4].copy_from_slice(&length.to_be_bytes());
    out[4..6].copy_from_slice(&M::KIND.to_be_bytes());
    out[6] = if M::MUST_UNDERSTAND { MUST_UNDERSTAND } else { 0 };
    Ok(out)
}

/// Turns a stream of bytes into frames; the sans-I/O half of every connection.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    start: usize,
    limit_bytes: usize,
}

impl FrameReader {
    /// Starts a reader that accepts only small frames, as is right before authentication.
    pub fn before_auth() -> Self {
        Self { buffer: Vec::new(), start: 0, limit_bytes: limits::FRAME_BEFORE_AUTH_BYTES }
    }

    /// Starts a reader for a trusted peer.
    pub fn authenticated() -> Self {
        Self { buffer: Vec::new(), start: 0, limit_bytes: limits::FRAME_BYTES }
    }

    /// Raises the limit once the peer has proved who it is.
    pub fn authenticate(&mut self) {
        self.limit_bytes = limits::FRAME_BYTES;
    }

    /// Takes bytes as they come from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > limits::STREAM_DATA_BYTES {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole frame, or `None` until more bytes were pushed.
    ///
    /// # Errors
    /// `TooLarge` and `TooShort`; the connection is beyond repair then.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        let waiting = &self.buffer[self.start..];
        let Some(size) = announced(waiting, self.limit_bytes)? else { return Ok(None) };
        let Some(frame) = whole(waiting, size) else { return Ok(None) };
        self.start += size;
        Ok(Some(frame))
    }
}

/// Copies the frame out whose size was announced, if it is there.
pub(crate) fn whole(waiting: &[u8], size: usize) -> Option<Frame> {
    let frame = waiting.get(..size)?;
    Some(Frame {
        kind: u16::from_be_bytes([frame[4], frame[5]]),
        flags: frame[6],
        body: frame[HEADER_BYTES..].to_vec(),
    })
}

/// Makes a frame of the bytes that are one, without a copy.
#[cfg(feature = "tokio")]
pub(crate) fn only(mut frame: Vec<u8>) -> Frame {
    let (kind, flags) = (u16::from_be_bytes([frame[4], frame[5]]), frame[6]);
    frame.drain(..HEADER_BYTES);
    Frame { kind, flags, body: frame }
}

/// Returns the size of the first frame with its length, once that is there.
pub(crate) fn announced(waiting: &[u8], limit: usize) -> Result<Option<usize>, DecodeError> {
    let Some(length) = waiting.first_chunk::<4>() else { return Ok(None) };
    let size = u32::from_be_bytes(*length) as usize;
    if size > limit {
        return Err(DecodeError::TooLarge { size, limit });
    }
    if size < AFTER_LENGTH {
        return Err(DecodeError::TooShort { size });
    }
    Ok(Some(LENGTH_BYTES + size))
}
