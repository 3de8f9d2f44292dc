//! Signals as bytes in a socket, so that one `poll` waits for them and for the master.

use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// A signal that this program acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
    HangUp,
}

/// The signals that came.
#[derive(Debug)]
pub(crate) struct Signals {
    sources: [(Signal, UnixStream); 3],
}

impl Signals {
    /// Begins to catch them.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            sources: [
                (Signal::Interrupt, stream_of(SIGINT)?),
                (Signal::Terminate, stream_of(SIGTERM)?),
                (Signal::HangUp, stream_of(SIGHUP)?),
            ],
        })
    }

    /// Returns what to wait on for each.
    pub(crate) fn fds(&self) -> [BorrowedFd<'_>; 3] {
        [self.sources[0].1.as_fd(), self.sources[1].1.as_fd(), self.sources[2].1.as_fd()]
    }

    /// Takes a signal that has come, each occurrence once.
    pub(crate) fn take(&mut self) -> Option<Signal> {
        self.sources.iter_mut().find_map(|(signal, source)| {
            let mut byte = [0; 1];
            matches!(source.read(&mut byte), Ok(1)).then_some(*signal)
        })
    }
}

fn stream_of(number: i32) -> io::Result<UnixStream> {
    let (ours, handlers) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(number, handlers)?;
    Ok(ours)
}
