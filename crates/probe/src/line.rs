//! A connection to the master, by blocking reads and writes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, bail};
use proto::message::hello::{Hello, Refusal, Role, Welcome};
use proto::{Frame, FrameReader, Message, encode};

/// A connection.
pub(crate) struct Line<S = UnixStream> {
    pub(crate) socket: S,
    reader: FrameReader,
}

impl Line {
    pub(crate) fn open(path: &Path, role: Role) -> anyhow::Result<Self> {
        let socket =
            UnixStream::connect(path).with_context(|| format!("connect to {}", path.display()))?;
        let mut line = Self::new(socket);
        line.send(&Hello::new(role, None))?;
        line.receive::<Welcome>()?;
        Ok(line)
    }
}

impl<S: Read + Write> Line<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self { socket, reader: FrameReader::authenticated() }
    }

    pub(crate) fn send<M: Message>(&mut self, message: &M) -> anyhow::Result<()> {
        self.socket.write_all(&encode(message)?).context("write to the master")
    }

    /// Returns the next message of a kind; passes over what else a follower is told.
    pub(crate) fn receive<M: Message>(&mut self) -> anyhow::Result<M> {
        loop {
            let frame = self.frame()?;
            if frame.kind == M::KIND {
                return Ok(frame.open()?);
            }
            if frame.kind == Refusal::KIND {
                bail!("the master refused: {}", frame.open::<Refusal>()?);
            }
        }
    }

    pub(crate) fn frame(&mut self) -> anyhow::Result<Frame> {
        let mut bytes = [0; 64 * 1024];
        loop {
            if let Some(frame) = self.reader.next_frame()? {
                return Ok(frame);
            }
            match self.socket.read(&mut bytes).context("read from the master")? {
                0 => bail!("the master closed the connection"),
                count => self.reader.push(&bytes[..count]),
            }
        }
    }
}
