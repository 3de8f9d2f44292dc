//! A network between a client and a master that can lose connections.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Nothing that a test waits for takes longer on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Passes bytes on between whoever connects to it and one address.
#[derive(Debug)]
pub struct Relay {
    address: String,
    connections: Receiver<[TcpStream; 2]>,
}

impl Relay {
    /// Starts to listen.
    ///
    /// # Panics
    /// When that fails.
    pub fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("find a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (sender, connections) = channel();
        let target = target.to_owned();
        std::thread::spawn(move || pass_all(&listener, &target, &sender));
        Self { address, connections }
    }

    /// Returns where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits for the next connection and returns it.
    ///
    /// # Panics
    /// When nobody connects.
    pub fn connection(&self) -> Relayed {
        Relayed(self.connections.recv_timeout(PATIENCE).expect("somebody connects"))
    }
}

/// One connection through a relay.
#[derive(Debug)]
pub struct Relayed([TcpStream; 2]);

impl Relayed {
    /// Loses it: both sides see its end.
    pub fn lose(self) {
        for side in self.0 {
            // The end of one side may have ended the other.
            drop(side.shutdown(Shutdown::Both));
        }
    }
}

fn pass_all(listener: &TcpListener, target: &str, connections: &Sender<[TcpStream; 2]>) {
    while let Ok((near, _)) = listener.accept() {
        let Ok(far) = TcpStream::connect(target) else { continue };
        let copy = |side: &TcpStream| side.try_clone().expect("there are descriptors left");
        for (from, to) in [(copy(&near), copy(&far)), (copy(&far), copy(&near))] {
            std::thread::spawn(move || pass(from, to));
        }
        if connections.send([near, far]).is_err() {
            return;
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // The other side is closed by now where a test has lost the connection.
    let _is_closed = to.shutdown(Shutdown::Write).is_err();
}
