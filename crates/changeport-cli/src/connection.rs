//! A connection to the master: one socket, frames in and out.
//!
//! The first message goes out together with the hello, so that a launch costs one round trip.
//! Signs of life are asked for and given here; a master that is silent for too long is lost.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use failpoint::Act;
use proto::message::hello::{Hello, Ping, Pong, Refusal, Role, Welcome};
use proto::{DecodeError, EncodeError, Frame, FrameReader, Message, encode, limits};
use rustix::event::{PollFd, PollFlags};

use crate::poll;
use crate::settings::Address;
use crate::socket::{self, Socket};

const HANDSHAKE: Duration = Duration::from_millis(limits::HANDSHAKE_MS);
const PING: Duration = Duration::from_millis(limits::PING_MS);
const SILENCE: Duration = Duration::from_millis(limits::SILENCE_MS);
/// For the refusal of a master that closed the connection before it had read everything; it was
/// sent before the close, so it is there or nearly there.
const LAST_WORDS: Duration = Duration::from_millis(100);

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
    NotUnderstood(#[from] DecodeError),
    #[error("{0}")]
    TooLarge(EncodeError),
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    reader: FrameReader,
    buffer: Vec<u8>,
    opened: Instant,
    is_welcome: bool,
    heard: Instant,
    asked: Instant,
}

impl Connection {
    /// Connects and sends the hello and the first message in one go. The welcome comes later.
    pub(crate) fn open<M: Message>(address: &Address, first: &M) -> Result<Self, Trouble> {
        Self::open_within(socket::PATIENCE, address, first)
    }

    /// The same for a caller that may have less time.
    pub(crate) fn open_within<M: Message>(
        patience: Duration,
        address: &Address,
        first: &M,
    ) -> Result<Self, Trouble> {
        let mut bytes =
            encode(&Hello::new(Role::Client, address.token.clone())).map_err(Trouble::TooLarge)?;
        bytes.extend(encode(first).map_err(Trouble::TooLarge)?);
        let connect = || Socket::connect(&address.master, patience);
        let socket = failpoint::around(Act::Connect, connect).map_err(Trouble::Unreachable)?;
        let reader = FrameReader::authenticated();
        let (buffer, now) = (vec![0; 32 * 1024], Instant::now());
        let mut connection =
            Self { socket, reader, buffer, opened: now, is_welcome: false, heard: now, asked: now };
        match connection.socket.write(&bytes) {
            Ok(()) => Ok(connection),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Trouble::Lost(error)),
            Err(error) => Err(connection.last_words(error)),
        }
    }

    /// Sends a message.
    pub(crate) fn send<M: Message>(&mut self, message: &M) -> Result<(), Trouble> {
        let bytes = encode(message).map_err(Trouble::TooLarge)?;
        self.socket.write(&bytes).map_err(Trouble::Lost)
    }

    /// Returns how long the master has been speaking to us, or `None` before its welcome.
    pub(crate) fn lasted(&self, now: Instant) -> Option<Duration> {
        self.is_welcome.then(|| now.duration_since(self.opened))
    }

    /// Waits for a message of one kind and passes over what else the master tells.
    pub(crate) fn receive<M: Message>(&mut self) -> Result<M, Trouble> {
        loop {
            let frame = self.wait_frame()?;
            if frame.kind == M::KIND {
                return Ok(frame.open()?);
            }
        }
    }

    /// Waits for the next frame.
    pub(crate) fn wait_frame(&mut self) -> Result<Frame, Trouble> {
        loop {
            if let Some(frame) = self.next()? {
                return Ok(frame);
            }
            if self.is_ready_before(self.next_moment())? {
                self.fill()?;
            }
            self.tend(Instant::now())?;
        }
    }

    /// Returns the next frame that has already come and is not about the connection itself.
    /// Refusals are errors; signs of life are answered.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Trouble> {
        while let Some(frame) = self.reader.next_frame()? {
            match frame.kind {
                Welcome::KIND => {
                    let _welcome: Welcome = frame.open()?;
                    self.is_welcome = true;
                }
                Refusal::KIND => return Err(Trouble::Refused(frame.open()?)),
                Ping::KIND => {
                    let Ping { nonce } = frame.open()?;
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
        let count = self.socket.read(&mut self.buffer).map_err(Trouble::Lost)?;
        if count == 0 {
            return Err(Trouble::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        self.heard = Instant::now();
        self.reader.push(&self.buffer[..count]);
        Ok(())
    }

    /// Excuses a silence that was ours: for a while nothing was read.
    pub(crate) fn did_not_listen(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Returns when `tend` is due although nothing came.
    pub(crate) fn next_moment(&self) -> Instant {
        if self.is_welcome { self.heard.max(self.asked) + PING } else { self.opened + HANDSHAKE }
    }

    /// Asks a silent master for a sign of life, or gives it up.
    pub(crate) fn tend(&mut self, now: Instant) -> Result<(), Trouble> {
        if now < self.next_moment() {
            return Ok(());
        }
        if !self.is_welcome || now.duration_since(self.heard) >= SILENCE {
            return Err(Trouble::Lost(io::ErrorKind::TimedOut.into()));
        }
        self.asked = now;
        self.send(&Ping { nonce: 0 })
    }

    fn is_ready_before(&self, moment: Instant) -> Result<bool, Trouble> {
        let mut sources = [PollFd::new(&self.socket, PollFlags::IN)];
        poll::wait_until(&mut sources, moment).map_err(Trouble::Lost)?;
        Ok(!sources[0].revents().is_empty())
    }

    /// A master that refuses the hello may close before it has read the rest: what it said counts,
    /// not the write that failed.
    fn last_words(&mut self, error: io::Error) -> Trouble {
        let is_ready = self.is_ready_before(Instant::now() + LAST_WORDS);
        if !matches!(is_ready, Ok(true)) || self.fill().is_err() {
            return Trouble::Lost(error);
        }
        match self.next() {
            Err(said @ (Trouble::Refused(_) | Trouble::NotUnderstood(_))) => said,
            Err(Trouble::Unreachable(_) | Trouble::Lost(_) | Trouble::TooLarge(_)) | Ok(_) => {
                Trouble::Lost(error)
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
