//! The socket under a connection: Unix or TCP, blocking, with a limit to every write.

use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::limits;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use crate::exit;
use crate::notice::Complaint;

/// A master that takes nothing for so long is not there.
pub(crate) const PATIENCE: Duration = Duration::from_millis(limits::HANDSHAKE_MS);

/// Where the master is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Master {
    Unix(PathBuf),
    /// `HOST:PORT`, looked up at each connection.
    Tcp(String),
}

impl Master {
    /// Reads `unix:PATH`, `tcp:HOST:PORT` or `HOST:PORT`.
    pub(crate) fn parse(text: &OsStr) -> Result<Self, Complaint> {
        if let Some(path) = text.as_bytes().strip_prefix(b"unix:") {
            return Ok(Self::Unix(PathBuf::from(OsStr::from_bytes(path))));
        }
        let text = text.to_string_lossy();
        let address = text.strip_prefix("tcp:").unwrap_or(&text);
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self::Tcp(address.to_owned()))
            }
            Some(_) | None => {
                let what = format!("`{text}` is not the address of a master");
                Err(Complaint::new(exit::BAD_REQUEST, what, "write unix:/PATH or tcp:HOST:PORT"))
            }
        }
    }
}

impl std::fmt::Display for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

/// An open socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Socket {
    /// Connects; neither that nor any write waits longer than `patience`.
    ///
    /// # Errors
    /// When nobody answers there; a signal ends the wait too.
    pub(crate) fn connect(master: &Master, patience: Duration) -> io::Result<Self> {
        match master {
            Master::Unix(path) => connect_unix(path, patience).map(Self::Unix),
            Master::Tcp(address) => connect_tcp(address, patience).map(Self::Tcp),
        }
    }

    /// Reads what is there, waiting for at least one byte.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Unix(socket) => socket.read(buffer),
                Self::Tcp(socket) => socket.read(buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// Writes everything, or the connection is of no more use.
    ///
    /// # Errors
    /// When the other side takes no more in time. A signal ends the wait for it too: whoever
    /// leaves does not wait for a master that is stuck.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let count = match self {
            Self::Unix(socket) => socket.write(bytes)?,
            Self::Tcp(socket) => socket.write(bytes)?,
        };
        // A blocking socket takes everything, but for a signal, its time limit, or a close.
        if count < bytes.len() { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(socket) => socket.as_fd(),
            Self::Tcp(socket) => socket.as_fd(),
        }
    }
}

/// Connects with the limit of writes already set: it also ends the wait for a master that has
/// stopped to take connections.
fn connect_unix(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(patience))?;
    rustix::net::connect(&socket, &address)?;
    Ok(UnixStream::from(socket))
}

fn connect_tcp(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                socket.set_write_timeout(Some(patience))?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let parse = |text: &str| Master::parse(OsStr::new(text)).ok();
        assert_eq!(parse("unix:/run/x.sock"), Some(Master::Unix("/run/x.sock".into())));
        assert_eq!(parse("tcp:ci:9999"), Some(Master::Tcp("ci:9999".into())));
        assert_eq!(parse("[::1]:9999"), Some(Master::Tcp("[::1]:9999".into())));
        assert_eq!(parse("/run/x.sock"), None);
        assert_eq!(parse("ci"), None);
    }
}
