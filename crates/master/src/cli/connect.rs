//! The command line's connection to a running master.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, bail};
use proto::message::hello::{Hello, Refusal, Role, Welcome};
use proto::{Frame, FrameReader, Message, encode};

/// A connection to the control socket.
#[derive(Debug)]
pub(super) struct Connection {
    socket: UnixStream,
    reader: FrameReader,
}

impl Connection {
    /// Connects and says hello.
    pub(super) fn open(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| {
            format!(
                "connect to the master at {} (is it running, and are you its user or root?)",
                socket.display()
            )
        })?;
        let mut connection = Self { socket: stream, reader: FrameReader::authenticated() };
        connection.send(&Hello::new(Role::Control, None))?;
        let _welcome: Welcome = connection.receive()?;
        Ok(connection)
    }

    /// Sends a message.
    pub(super) fn send<M: Message>(&mut self, message: &M) -> anyhow::Result<()> {
        self.socket.write_all(&encode(message)?).context("write to the master")
    }

    /// Waits for one kind of message; a refusal becomes the error.
    pub(super) fn receive<M: Message>(&mut self) -> anyhow::Result<M> {
        let frame = self.frame()?;
        if frame.kind == Refusal::KIND {
            bail!(frame.open::<Refusal>()?);
        }
        Ok(frame.open()?)
    }

    /// Waits for the next frame of any kind.
    pub(super) fn frame(&mut self) -> anyhow::Result<Frame> {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            if let Some(frame) = self.reader.next_frame()? {
                return Ok(frame);
            }
            let count = self.socket.read(&mut bytes).context("read from the master")?;
            if count == 0 {
                bail!("the master closed the connection");
            }
            self.reader.push(&bytes[..count]);
        }
    }
}
