//! The workers that listen: the one that started the command, and those that adopt it.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use failpoint::Act;
use rustix::event::{PollFd, PollFlags, poll};

use crate::exit::Exit;
use crate::frame::{Event, Frames, Request};
use crate::spool::CONTROL;
use crate::sys::{boot_us, timespec};

/// Nobody needs more; a newer one replaces the oldest.
const MOST_PEERS: usize = 4;

struct Peer {
    socket: UnixStream,
    frames: Frames,
}

/// The sockets on which workers listen and ask.
pub(super) struct Peers {
    /// Made when the worker that started the command has left: until then nobody needs it, and
    /// most commands are shorter than a worker's life.
    control: Option<UnixListener>,
    peers: Vec<Peer>,
    has_started: bool,
}

impl Peers {
    pub(super) fn new(events: OwnedFd) -> io::Result<Self> {
        let mut peers = Self { control: None, peers: Vec::new(), has_started: false };
        peers.add(UnixStream::from(events))?;
        Ok(peers)
    }

    fn add(&mut self, socket: UnixStream) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        if self.peers.len() == MOST_PEERS {
            self.peers.remove(0);
        }
        let mut peer = Peer { socket, frames: Frames::default() };
        if self.has_started {
            peer.tell(&Event::Started);
        }
        self.peers.push(peer);
        Ok(())
    }

    /// Returns the descriptors to wait for: the listener, then the peers.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let control = self.control.iter().map(|control| control.as_fd());
        control.chain(self.peers.iter().map(|peer| peer.socket.as_fd()))
    }

    /// Takes new peers and reads what the known ones ask; peers that left are forgotten.
    pub(super) fn requests(&mut self) -> Vec<Request> {
        while let Some(Ok((socket, _))) = self.control.as_ref().map(UnixListener::accept) {
            // A peer that cannot be set up sees its socket close and tries again.
            drop(self.add(socket));
        }
        let mut requests = Vec::new();
        self.peers.retain_mut(|peer| peer.read(&mut requests));
        if self.are_unreachable() {
            // On a full disk it is tried again.
            self.control = listen().ok();
        }
        requests
    }

    /// Says whether nobody listens, and nobody can come.
    pub(super) fn are_unreachable(&self) -> bool {
        self.peers.is_empty() && self.control.is_none()
    }

    pub(super) fn tell_started(&mut self) {
        self.has_started = true;
        self.tell(&Event::Started);
    }

    pub(super) fn tell_output(&mut self, log_bytes: u64) {
        failpoint::around(Act::TellOutput, || self.tell(&Event::Output { log_bytes }));
    }

    pub(super) fn tell_exited(&mut self, exit: &Exit) {
        failpoint::around(Act::TellExited, || self.tell(&Event::Exited(Some(exit.clone()))));
    }

    /// Waits until all have left, at most until a moment on boot time.
    pub(super) fn wait_until_gone(&mut self, until: i64) -> io::Result<()> {
        loop {
            let left_us = until - boot_us();
            if self.peers.is_empty() || left_us <= 0 {
                return Ok(());
            }
            let sockets = self.peers.iter().map(|peer| &peer.socket);
            let mut fds: Vec<_> = sockets.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
            match poll(&mut fds, Some(&timespec(left_us))) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            // Nothing that is asked now is of use.
            self.peers.retain_mut(|peer| peer.read(&mut Vec::new()));
        }
    }

    fn tell(&mut self, event: &Event) {
        self.peers.iter_mut().for_each(|peer| peer.tell(event));
    }
}

fn listen() -> io::Result<UnixListener> {
    let control = failpoint::around(Act::Control, || UnixListener::bind(CONTROL))?;
    control.set_nonblocking(true)?;
    Ok(control)
}

impl Peer {
    /// Events are hints: a peer that does not read misses some and still sees the end.
    fn tell(&mut self, event: &Event) {
        drop(self.socket.write(&event.encode()));
    }

    /// Reads until there is nothing more. Says whether the peer is still there.
    fn read(&mut self, requests: &mut Vec<Request>) -> bool {
        let mut bytes = [0u8; 4096];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.frames.push(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        loop {
            match self.frames.next_request() {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}
