//! What a worker and a supervisor say to each other: small frames over a Unix socket.
//!
//! Layout, little-endian: `len u16` (of what follows), `kind u8`, payload. Version 1; an unknown
//! kind is skipped, so either side may be newer.

use crate::exit::Exit;

/// A frame larger than this comes from no worker of ours.
const MOST_BYTES: usize = 60 * 1024;
/// Of an `exit` file that is told whole. More might not fit the socket at once.
const MOST_TOLD_BYTES: usize = 1024;

/// From a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Signal the process group now, kill the tree after the grace.
    Stop {
        signal: i32,
        grace_ms: u64,
    },
    /// Bytes for the command's standard input.
    Stdin(Vec<u8>),
    StdinEnd,
}

/// From a supervisor. What is told is in the spool already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Started,
    /// The output has grown to this length.
    Output {
        log_bytes: u64,
    },
    /// The `exit` file is there, and what it says; a long one is to be read.
    Exited(Option<Exit>),
}

/// The peer does not speak this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {size} bytes; the limit is {MOST_BYTES}")]
pub struct FrameError {
    size: usize,
}

impl Request {
    /// Encodes the request. Standard input longer than a frame is the caller's to split.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Stop { signal, grace_ms } => {
                let mut payload = signal.to_le_bytes().to_vec();
                payload.extend_from_slice(&grace_ms.to_le_bytes());
                frame(1, &payload)
            }
            Self::Stdin(bytes) => frame(2, bytes),
            Self::StdinEnd => frame(3, &[]),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        match kind {
            1 => {
                let signal = i32::from_le_bytes(*payload.first_chunk()?);
                let grace_ms = u64::from_le_bytes(*payload.get(4..)?.first_chunk()?);
                Some(Self::Stop { signal, grace_ms })
            }
            2 => Some(Self::Stdin(payload.to_vec())),
            3 => Some(Self::StdinEnd),
            _ => None,
        }
    }
}

impl Event {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Started => frame(1, &[]),
            Self::Output { log_bytes } => frame(2, &log_bytes.to_le_bytes()),
            Self::Exited(exit) => {
                let file = exit.as_ref().and_then(|exit| exit.to_file().ok());
                let told = file.filter(|file| file.len() <= MOST_TOLD_BYTES);
                frame(3, &told.unwrap_or_default())
            }
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        match kind {
            1 => Some(Self::Started),
            2 => Some(Self::Output { log_bytes: u64::from_le_bytes(*payload.first_chunk()?) }),
            3 => Some(Self::Exited(Exit::from_file(payload))),
            _ => None,
        }
    }
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(MOST_BYTES - 1)];
    let length = u16::try_from(payload.len() + 1).unwrap_or(u16::MAX);
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.push(kind);
    bytes.extend_from_slice(payload);
    bytes
}

/// Turns bytes into frames.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    /// Takes bytes as they come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next request, skipping unknown ones.
    ///
    /// # Errors
    /// When the peer is no worker of ours.
    pub fn next_request(&mut self) -> Result<Option<Request>, FrameError> {
        self.next(Request::decode)
    }

    /// Returns the next event, skipping unknown ones.
    ///
    /// # Errors
    /// When the peer is no supervisor of ours.
    pub fn next_event(&mut self) -> Result<Option<Event>, FrameError> {
        self.next(Event::decode)
    }

    fn next<T>(&mut self, decode: fn(u8, &[u8]) -> Option<T>) -> Result<Option<T>, FrameError> {
        loop {
            let Some(length) = self.buffer.first_chunk::<2>() else { return Ok(None) };
            let size = usize::from(u16::from_le_bytes(*length));
            if size == 0 || size > MOST_BYTES {
                return Err(FrameError { size });
            }
            if self.buffer.len() < 2 + size {
                return Ok(None);
            }
            let decoded = decode(self.buffer[2], &self.buffer[3..2 + size]);
            self.buffer.drain(..2 + size);
            if decoded.is_some() {
                return Ok(decoded);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Outcome;

    #[test]
    fn requests_survive_byte_by_byte() {
        let sent = [
            Request::Stop { signal: 15, grace_ms: 9 },
            Request::Stdin(vec![0, 255]),
            Request::StdinEnd,
        ];
        let mut frames = Frames::default();
        let mut got = Vec::new();
        for byte in sent.iter().flat_map(Request::encode) {
            frames.push(&[byte]);
            got.extend(frames.next_request().unwrap());
        }
        assert_eq!(got, sent);
    }

    #[test]
    fn an_end_is_told_whole_where_it_is_short_and_as_a_word_where_not() {
        let end = |why: String| Exit {
            outcome: Outcome::NotStarted(why),
            ended_us: 1,
            duration_us: 2,
            log_bytes: 3,
            survivors: Vec::new(),
            left: None,
        };
        let heard = |exit: &Exit| {
            let mut frames = Frames::default();
            frames.push(&Event::Exited(Some(exit.clone())).encode());
            frames.next_event().unwrap()
        };
        let short = end("no such file".to_owned());
        assert_eq!(heard(&short), Some(Event::Exited(Some(short))));
        assert_eq!(heard(&end("x".repeat(2_000))), Some(Event::Exited(None)));
    }
}
