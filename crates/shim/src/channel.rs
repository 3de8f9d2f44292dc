//! A worker's end of the line to a supervisor.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use std::os::fd::AsRawFd as _;

use crate::spool::CONTROL;

/// A socket on which the supervisor sends events and takes requests. Its end means that the
/// supervisor is gone.
#[derive(Debug)]
pub struct EventChannel(pub UnixStream);

impl EventChannel {
    /// Connects to the supervisor of a directory.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn adopt(directory: &Path) -> io::Result<Self> {
        // A socket address holds 108 bytes; the descriptor's path is always short.
        let folder = rustix::fs::open(
            directory,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let address = format!("/proc/self/fd/{}/{CONTROL}", folder.as_raw_fd());
        Ok(Self(UnixStream::connect(address)?))
    }
}
