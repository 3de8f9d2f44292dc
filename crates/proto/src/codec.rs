//! The tokio codec: `FrameReader` behind `tokio_util::codec::Decoder`, and raw frames out.

use bytes::{Buf as _, BytesMut};
use tokio_util::codec::Decoder;

use crate::{DecodeError, Frame, FrameReader};

/// Decodes frames from an async byte stream.
#[derive(Debug)]
pub struct FrameCodec {
    reader: FrameReader,
}

impl FrameCodec {
    /// Starts with the small limit of an unknown peer.
    pub fn before_auth() -> Self {
        Self { reader: FrameReader::before_auth() }
    }

    /// Starts with the limit of a trusted peer.
    pub fn authenticated() -> Self {
        Self { reader: FrameReader::authenticated() }
    }

    /// Raises the limit once the peer has proved who it is.
    pub fn authenticate(&mut self) {
        self.reader.authenticate();
    }
}

/// Why a connection's bytes stopped being frames.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("read from the peer")]
    Read(#[from] std::io::Error),
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = CodecError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        if source.has_remaining() {
            self.reader.push(source);
            source.clear();
        }
        Ok(self.reader.next_frame()?)
    }
}
