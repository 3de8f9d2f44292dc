//! A port of this machine that nobody else gets while a test uses it.
//!
//! Daemons of a test come and go at one address. Between two of them the system would give the port
//! to whoever asks for any, such as the daemon of another test. So a socket stays bound to it that
//! does not listen: the system lets others that set `SO_REUSEADDR`, as daemons do, listen there,
//! and chooses it for nobody. Source: `socket(7)`, `ip(7)`.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};

/// A reserved port on loopback.
#[derive(Debug)]
pub struct Port {
    _socket: OwnedFd,
    address: String,
}

impl Port {
    /// Reserves one.
    ///
    /// # Panics
    /// When the system has none.
    pub fn reserve() -> Self {
        let made = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = made.expect("make a socket");
        sockopt::set_socket_reuseaddr(&socket, true).expect("let others listen there");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        bind(&socket, &any).expect("find a free port");
        let name = getsockname(&socket).expect("it is bound");
        let address = SocketAddr::try_from(name).expect("it is of the Internet").to_string();
        Self { _socket: socket, address }
    }

    /// Returns it as `address:port`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_reserved_port_is_listened_at_again_and_again() {
        let port = Port::reserve();
        for _ in 0..3 {
            assert!(TcpStream::connect(port.address()).is_err(), "nobody listens");
            let listener = TcpListener::bind(port.address()).unwrap();
            let _client = TcpStream::connect(port.address()).unwrap();
            listener.accept().unwrap();
        }
    }
}
