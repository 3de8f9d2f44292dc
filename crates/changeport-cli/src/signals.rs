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

const ALL: [(Signal, i32); 3] =
    [(Signal::Interrupt, SIGINT), (Signal::Terminate, SIGTERM), (Signal::HangUp, SIGHUP)];

/// The signals that came.
#[derive(Debug)]
pub(crate) struct Signals {
    sources: Vec<(Signal, UnixStream)>,
}

impl Signals {
    /// Begins to catch them, but for those the caller had ignored: `nohup` and a shell that puts
    /// us into the background mean what they say.
    pub(crate) fn catch() -> io::Result<Self> {
        let ignored = ignored();
        let mut sources = Vec::with_capacity(ALL.len());
        for (signal, number) in ALL {
            if ignored & (1 << (number - 1)) == 0 {
                sources.push((signal, stream_of(number)?));
            }
        }
        Ok(Self { sources })
    }

    /// Returns what to wait on for each.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sources.iter().map(|(_, source)| source.as_fd())
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

/// Asks the kernel which signals are ignored. One read gets the whole file; without it nothing is.
fn ignored() -> u64 {
    let mut status = [0; 4096];
    let count =
        std::fs::File::open("/proc/self/status").and_then(|mut file| file.read(&mut status));
    ignored_in(&String::from_utf8_lossy(&status[..count.unwrap_or(0)]))
}

/// Returns the set of ignored signals, signal 1 in the lowest bit. Source: proc(5).
fn ignored_in(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_process_status() {
        assert_eq!(ignored_in("Name:\tx\nSigBlk:\t3\nSigIgn:\t0000000000001001\n"), 0x1001);
        assert_eq!(ignored_in(""), 0);
    }
}
