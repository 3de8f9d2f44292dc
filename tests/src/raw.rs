//! A connection that says what no program of ours would.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use proto::{Frame, FrameReader, Message, encode};

/// Longer than a master takes for anything.
const PATIENCE: Duration = Duration::from_secs(30);

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// An open connection.
pub struct Raw {
    stream: Box<dyn Stream>,
    reader: FrameReader,
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raw").finish_non_exhaustive()
    }
}

impl Raw {
    pub(crate) fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("connect to a master of ours");
        stream.set_read_timeout(Some(PATIENCE)).expect("limit a read");
        Self::of(stream)
    }

    /// Connects to an address.
    ///
    /// # Panics
    /// When nobody listens there.
    pub fn tcp(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("connect to a master of ours");
        stream.set_read_timeout(Some(PATIENCE)).expect("limit a read");
        Self::of(stream)
    }

    fn of(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), reader: FrameReader::authenticated() }
    }

    /// Sends a message as it should be sent.
    pub fn send<M: Message>(&mut self, message: &M) {
        self.send_bytes(&encode(message).expect("the message is small"));
    }

    /// Sends a frame with any kind, flags and body.
    pub fn send_frame(&mut self, kind: u16, flags: u8, body: &[u8]) {
        let length = u32::try_from(body.len() + 3).expect("the body is small");
        let head = [&length.to_be_bytes()[..], &kind.to_be_bytes(), &[flags]].concat();
        self.send_bytes(&[&head, body].concat());
    }

    /// Sends bytes. The other side may have hung up before it got all.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _is_cut_off = self.stream.write_all(bytes).is_err();
    }

    /// Waits for the next frame; `None` where the other side hung up.
    ///
    /// # Panics
    /// When nothing comes, or no frame.
    pub fn receive(&mut self) -> Option<Frame> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(frame) = self.reader.next_frame().expect("a master sends frames") {
                return Some(frame);
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.reader.push(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("wait for the other side: {error}"),
            }
        }
    }

    /// Waits for a message of one kind and skips signs of life.
    ///
    /// # Panics
    /// When another one comes.
    pub fn expect<M: Message>(&mut self) -> M {
        loop {
            let frame = self.receive().expect("the other side is still there");
            if frame.kind != proto::kind::PING {
                return frame.open().expect("the message that is due");
            }
        }
    }

    /// Waits until the other side has hung up.
    pub fn expect_end(&mut self) {
        while self.receive().is_some() {}
    }
}
