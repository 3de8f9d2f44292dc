//! A connection to the master: blocking, one socket, frames in and out.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use proto::message::hello::{Hello, Ping, Pong, Refusal, Role, Welcome};
use proto::{Bytes, DecodeError, EncodeError, Frame, FrameReader, Message, encode, limits};

use crate::settings::Master;

const HANDSHAKE: Duration = Duration::from_millis(limits::HANDSHAKE_MS);

/// What came of speaking to the master.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// Nobody answered; nothing was sent.
    #[error("{0}")]
    Unreachable(io::Error),
    /// The connection broke off.
    #[error("the connection broke off: {0}")]
    Lost(io::Error),
    #[error("{0}")]
    Refused(Refusal),
    /// The other side does not speak the protocol.
    #[error("the master said something that is not understood: {0}")]
    NotUnderstood(DecodeError),
    #[error("{0}")]
    TooLarge(EncodeError),
}

#[derive(Debug)]
enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    reader: FrameReader,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, says hello and sends the first message in one go, and waits for the welcome.
    pub(crate) fn open<M: Message>(
        master: &Master,
        token: Option<&Bytes>,
        first: &M,
    ) -> Result<Self, Trouble> {
        let mut bytes =
            encode(&Hello::new(Role::Client, token.cloned())).map_err(Trouble::TooLarge)?;
        bytes.extend(encode(first).map_err(Trouble::TooLarge)?);
        let socket = connect(master).map_err(Trouble::Unreachable)?;
        let reader = FrameReader::authenticated();
        let mut connection = Self { socket, reader, buffer: vec![0; 32 * 1024] };
        connection.set_read_timeout(Some(HANDSHAKE))?;
        connection.write(&bytes)?;
        let _welcome: Welcome = connection.receive()?;
        connection.set_read_timeout(None)?;
        Ok(connection)
    }

    /// Sends a message.
    pub(crate) fn send<M: Message>(&mut self, message: &M) -> Result<(), Trouble> {
        let bytes = encode(message).map_err(Trouble::TooLarge)?;
        self.write(&bytes)
    }

    /// Waits for a message of one kind; a refusal is the error.
    pub(crate) fn receive<M: Message>(&mut self) -> Result<M, Trouble> {
        loop {
            let Some(frame) = self.next()? else {
                self.fill()?;
                continue;
            };
            if frame.kind == M::KIND {
                return frame.open().map_err(Trouble::NotUnderstood);
            }
            frame.skip_unknown().map_err(Trouble::NotUnderstood)?;
        }
    }

    /// Returns the next frame that has already come. Refusals are errors; signs of life are
    /// answered.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Trouble> {
        while let Some(frame) = self.reader.next_frame().map_err(Trouble::NotUnderstood)? {
            match frame.kind {
                Refusal::KIND => {
                    let refusal = frame.open().map_err(Trouble::NotUnderstood)?;
                    return Err(Trouble::Refused(refusal));
                }
                Ping::KIND => {
                    let Ping { nonce } = frame.open().map_err(Trouble::NotUnderstood)?;
                    self.send(&Pong { nonce })?;
                }
                Pong::KIND => {}
                _ => return Ok(Some(frame)),
            }
        }
        Ok(None)
    }

    /// Reads what the socket has, waiting for at least one byte.
    pub(crate) fn fill(&mut self) -> Result<(), Trouble> {
        let count = loop {
            let read = match &mut self.socket {
                Socket::Unix(socket) => socket.read(&mut self.buffer),
                Socket::Tcp(socket) => socket.read(&mut self.buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome.map_err(Trouble::Lost)?,
            }
        };
        if count == 0 {
            return Err(Trouble::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        self.reader.push(&self.buffer[..count]);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        match &mut self.socket {
            Socket::Unix(socket) => socket.write_all(bytes),
            Socket::Tcp(socket) => socket.write_all(bytes),
        }
        .map_err(Trouble::Lost)
    }

    fn set_read_timeout(&self, limit: Option<Duration>) -> Result<(), Trouble> {
        match &self.socket {
            Socket::Unix(socket) => socket.set_read_timeout(limit),
            Socket::Tcp(socket) => socket.set_read_timeout(limit),
        }
        .map_err(Trouble::Lost)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Unix(socket) => socket.as_fd(),
            Socket::Tcp(socket) => socket.as_fd(),
        }
    }
}

fn connect(master: &Master) -> io::Result<Socket> {
    match master {
        Master::Unix(path) => UnixStream::connect(path).map(Socket::Unix),
        Master::Tcp(host) => {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
            for address in Master::addresses(host)? {
                match TcpStream::connect_timeout(&address, HANDSHAKE) {
                    Ok(socket) => {
                        socket.set_nodelay(true)?;
                        return Ok(Socket::Tcp(socket));
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
    }
}
