//! A user database that does not answer: a name service cache, as the C library asks it before the
//! files, that takes questions and keeps still.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;

use crate::process::wait_until;

/// Puts the folder where the C library looks for the socket, for nobody else on this machine.
const MOUNT: &str = "mount -t tmpfs none /run && mkdir /run/nscd && mount --bind \"$1\" /run/nscd \
    && shift && exec \"$@\"";
/// Where in the folder.
const SOCKET: &str = "socket";

/// The cache. The C library gives it up after five seconds; until then, whoever asks is stuck.
#[derive(Debug)]
pub struct UserDatabase {
    folder: PathBuf,
    socket: UnixListener,
    asked: Vec<UnixStream>,
}

impl UserDatabase {
    /// Makes one at a new folder, or says that the test is skipped where mounts are not allowed.
    ///
    /// # Panics
    /// When the folder or the socket cannot be made.
    pub fn new(test: &str, folder: PathBuf) -> Option<Self> {
        let mut may = Command::new("unshare");
        may.args(["--mount", "mount", "-t", "tmpfs", "none", "/run"]);
        if !may.output().is_ok_and(|output| output.status.success()) {
            private_postgres::skip(&format!("{test}: not allowed to mount a folder"));
            return None;
        }
        fs::create_dir(&folder).expect("make a folder");
        let socket = UnixListener::bind(folder.join(SOCKET)).expect("make a socket");
        socket.set_nonblocking(true).expect("look without waiting");
        Some(Self { folder, socket, asked: Vec::new() })
    }

    /// Lets a process that is about to be started look its users up here.
    pub fn impose_on(&self, command: &mut Command) {
        let mut wrapped = Command::new("unshare");
        wrapped.args(["--mount", "sh", "-c", MOUNT, "sh"]).arg(&self.folder);
        wrapped.arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            wrapped.current_dir(folder);
        }
        *command = wrapped;
    }

    /// Waits until somebody looks a user up, and lets them wait.
    ///
    /// # Panics
    /// When nobody does.
    pub fn wait_until_asked(&mut self) {
        let (asked, _) = wait_until("a question for a user", || self.socket.accept().ok());
        self.asked.push(asked);
    }

    /// Says whether everybody who asked still waits: the C library hangs up when it gives up.
    pub fn is_waited_for(&mut self) -> bool {
        let mut question = [0; 256];
        self.asked.iter_mut().all(|asked| {
            asked.set_nonblocking(true).expect("look without waiting");
            loop {
                match asked.read(&mut question) {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(error) => return error.kind() == ErrorKind::WouldBlock,
                }
            }
        })
    }

    /// Ends the cache: those who wait go on with the files.
    ///
    /// # Panics
    /// When its socket is gone already.
    pub fn end(self) {
        fs::remove_file(self.folder.join(SOCKET)).expect("remove the socket");
    }
}
