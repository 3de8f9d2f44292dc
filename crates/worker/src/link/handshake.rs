//! The beginning of a connection: hello, welcome.

use std::time::Duration;

use failpoint::Act;
use futures_util::StreamExt as _;
use proto::codec::{self, CodecError, FrameCodec};
use proto::message::hello::{Hello, Refusal, Role, Welcome};
use proto::{DecodeError, EncodeError, Frame, Message as _, encode, limits};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use crate::settings::{Address, Token};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("connect: {0}")]
    Connect(std::io::Error),
    #[error("connect: nobody answered within {} ms", limits::HANDSHAKE_MS)]
    ConnectLate,
    #[error("send a hello: {0}")]
    Send(std::io::Error),
    #[error("the master closed the connection before it welcomed this worker")]
    Closed,
    #[error("the master did not welcome this worker within {} ms", limits::HANDSHAKE_MS)]
    Late,
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("the master speaks version {version}, which was not offered")]
    Version { version: u16 },
    #[error("{}", chain(.0))]
    Codec(#[from] CodecError),
    #[error("{}", chain(.0))]
    Decode(#[from] DecodeError),
    #[error("{}", chain(.0))]
    Encode(#[from] EncodeError),
}

fn chain(error: &(impl std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

pub(super) type Frames = FramedRead<OwnedReadHalf, FrameCodec>;

/// A connection on which the master has welcomed this worker.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) frames: Frames,
    pub(super) socket: OwnedWriteHalf,
    pub(super) welcome: Welcome,
}

/// Connects and shakes hands.
pub(super) async fn connect(address: &Address, token: &Token) -> Result<Connected, HandshakeError> {
    let deadline = Duration::from_millis(limits::HANDSHAKE_MS);
    failpoint::before(Act::Call);
    let socket = timeout(deadline, TcpStream::connect(address.as_str())).await;
    failpoint::after(Act::Call);
    let socket =
        socket.map_err(|_late| HandshakeError::ConnectLate)?.map_err(HandshakeError::Connect)?;
    timeout(deadline, greet(socket, token)).await.map_err(|_late| HandshakeError::Late)?
}

async fn greet(socket: TcpStream, token: &Token) -> Result<Connected, HandshakeError> {
    socket.set_nodelay(true).map_err(HandshakeError::Connect)?;
    let (read, mut socket) = socket.into_split();
    let mut frames = codec::of_stranger(read);
    let hello = Hello::new(Role::Worker, Some(token.bytes().into()));
    failpoint::before(Act::Hello);
    socket.write_all(&encode(&hello)?).await.map_err(HandshakeError::Send)?;
    failpoint::after(Act::Hello);
    let frame = next_frame(&mut frames).await?;
    failpoint::before(Act::TakeWelcome);
    if frame.kind == Refusal::KIND {
        return Err(HandshakeError::Refused(frame.open()?));
    }
    let welcome: Welcome = frame.open()?;
    let (lowest, highest) = limits::VERSIONS;
    if !(lowest..=highest).contains(&welcome.version) {
        return Err(HandshakeError::Version { version: welcome.version });
    }
    codec::authenticate(&mut frames);
    failpoint::after(Act::TakeWelcome);
    Ok(Connected { frames, socket, welcome })
}

async fn next_frame(frames: &mut Frames) -> Result<Frame, HandshakeError> {
    Ok(frames.next().await.ok_or(HandshakeError::Closed)??)
}
