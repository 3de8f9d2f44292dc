//! The tokio codec: what `FrameReader` does, behind `tokio_util::codec::Decoder` and without a
//! second buffer.

use bytes::{Buf as _, BytesMut};
use tokio_util::codec::{Decoder, FramedRead};

use crate::{DecodeError, Frame, frame, limits};

/// Decodes frames from an async byte stream.
#[derive(Debug)]
pub struct FrameCodec {
    limit_bytes: usize,
}

impl FrameCodec {
    /// Starts with the small limit of an unknown peer.
    fn before_auth() -> Self {
        Self { limit_bytes: limits::FRAME_BEFORE_AUTH_BYTES }
    }

    /// Starts with the limit of a trusted peer.
    pub fn authenticated() -> Self {
        Self { limit_bytes: limits::FRAME_BYTES }
    }

    /// Raises the limit once the peer has proved who it is.
    fn authenticate(&mut self) {
        self.limit_bytes = limits::FRAME_BYTES;
    }
}

/// Room for the bytes of a peer: of one who has not said who it is, and of one who has.
const STRANGER_BYTES: usize = 512;
const GUEST_BYTES: usize = 8 * 1024;

/// Reads frames of an unknown peer. There may be many, so each gets little room.
pub fn of_stranger<R>(read: R) -> FramedRead<R, FrameCodec>
where
    R: tokio::io::AsyncRead,
{
    FramedRead::with_capacity(read, FrameCodec::before_auth(), STRANGER_BYTES)
}

/// Raises the limit, and makes room, once the peer has proved who it is.
pub fn authenticate<R>(frames: &mut FramedRead<R, FrameCodec>) {
    frames.decoder_mut().authenticate();
    frames.read_buffer_mut().reserve(GUEST_BYTES);
}

/// Why a connection's bytes stopped being frames.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("read from the peer")]
    Read(#[from] std::io::Error),
}

/// Frames from this size on are read with room for the next one, in bytes.
const LARGE_BYTES: usize = 16 * 1024;
/// Frames from this size on are rare: their memory is taken once, and given back, in bytes.
const HUGE_BYTES: usize = 256 * 1024;

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = CodecError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        let Some(size) = frame::announced(source, self.limit_bytes)? else { return Ok(None) };
        if size >= HUGE_BYTES && source.len() == size {
            return Ok(Some(frame::only(std::mem::take(source).into())));
        }
        if let Some(frame) = frame::whole(source, size) {
            source.advance(size);
            return Ok(Some(frame));
        }
        // What is read at once is what there is room for. Only a peer that sends large frames
        // gets more than a little.
        if size >= HUGE_BYTES {
            source.reserve(size - source.len());
        } else if size >= LARGE_BYTES {
            source.reserve(2 * size - source.len());
        }
        Ok(None)
    }

    /// A frame that was cut off by the end is one that was not sent.
    fn decode_eof(&mut self, source: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        let frame = self.decode(source)?;
        if frame.is_none() {
            source.clear();
        }
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::stream::StreamData;
    use crate::{FrameReader, encode};

    fn frame(size: usize) -> Vec<u8> {
        encode(&StreamData { stream: 1, bytes: vec![7; size].into() }).unwrap()
    }

    proptest! {
        #[test]
        fn however_it_is_cut_a_stream_is_the_frames_that_a_reader_finds(
            sizes in prop::collection::vec(prop_oneof![9 => 0usize..70_000, 1 => 250_000usize..300_000], 1..5),
            pieces in prop::collection::vec(1usize..100_000, 1..9),
        ) {
            let stream: Vec<u8> = sizes.iter().flat_map(|size| frame(*size)).collect();
            let (mut codec, mut reader) = (FrameCodec::authenticated(), FrameReader::authenticated());
            let (mut source, mut rest, mut pieces) = (BytesMut::new(), &*stream, pieces.iter().cycle());
            let (mut got, mut wanted) = (Vec::new(), Vec::new());
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
                source.extend_from_slice(piece);
                reader.push(piece);
                while let Some(frame) = codec.decode(&mut source).unwrap() {
                    got.push(frame);
                }
                while let Some(frame) = reader.next_frame().unwrap() {
                    wanted.push(frame);
                }
                rest = later;
            }
            prop_assert_eq!(got.len(), sizes.len());
            prop_assert_eq!(got, wanted);
        }
    }

    #[test]
    fn a_frame_that_was_cut_off_is_no_frame_and_no_error() {
        let mut source = BytesMut::from(&frame(100)[..50]);
        assert!(FrameCodec::authenticated().decode_eof(&mut source).unwrap().is_none());
        assert!(source.is_empty());
    }

    #[test]
    fn a_huge_frame_is_not_copied_and_leaves_nothing_behind() {
        let mut source = BytesMut::from(&*frame(HUGE_BYTES));
        let begin = source.as_ptr();
        let got = FrameCodec::authenticated().decode(&mut source).unwrap().unwrap();
        assert_eq!((got.body.as_ptr(), source.capacity()), (begin, 0));
    }

    #[test]
    fn a_stranger_gets_no_room_for_a_large_frame() {
        let mut source = BytesMut::from(&frame(60_000)[..10]);
        assert!(FrameCodec::before_auth().decode(&mut source).is_err());
        assert!(source.capacity() < LARGE_BYTES);
    }
}
