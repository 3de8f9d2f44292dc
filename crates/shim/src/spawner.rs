//! The spawner: a small process that forks a supervisor for each command.
//!
//! Forking from a process of a few pages is cheap, and the supervisor it makes has one thread.
//! It is forked ahead: one stands by at the socket, takes the next command itself, and says so to
//! the spawner, which forks another. The daemon starts spawners before it starts threads of its
//! own. When the daemon's socket closes a spawner takes no more commands, and ends with the last
//! supervisor it made.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use failpoint::Act;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, set_child_subreaper,
    set_parent_process_death_signal, wait,
};

use crate::channel::EventChannel;
use crate::inspect::Process;
use crate::spool::Created;
use crate::supervisor;
use crate::sys::{self, Disposition, Forked, exit_now};

/// Directory, lock and event socket; secrets, where the command has some.
const MOST_DESCRIPTORS: usize = 4;

/// A command, as its supervisor gets it.
pub(crate) struct Handed {
    pub(crate) directory: OwnedFd,
    pub(crate) lock: OwnedFd,
    pub(crate) events: OwnedFd,
    pub(crate) secrets: Option<OwnedFd>,
}

impl Handed {
    /// Takes what came; `None` where it is something else.
    fn of(descriptors: Vec<OwnedFd>) -> Option<Self> {
        let mut descriptors = descriptors.into_iter();
        let (directory, lock) = (descriptors.next()?, descriptors.next()?);
        Some(Self { directory, lock, events: descriptors.next()?, secrets: descriptors.next() })
    }
}

/// Why no supervisor was started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("start {program}, which supervises commands")]
    Start { program: PathBuf, source: io::Error },
    #[error("make a socket for the supervisor")]
    Socket { source: io::Error },
    #[error("hand a command to the spawner; it may have been killed")]
    Hand { source: io::Error },
}

/// The daemon's side of a spawner.
#[derive(Debug)]
pub struct Spawner {
    socket: OwnedFd,
    process: Child,
}

impl Spawner {
    /// Starts a spawner. To be called before the process has threads.
    ///
    /// # Errors
    /// When the program cannot be executed.
    pub fn start(program: &Path) -> Result<Self, SpawnError> {
        let start = |source| SpawnError::Start { program: program.to_owned(), source };
        let socket = |error: rustix::io::Errno| SpawnError::Socket { source: error.into() };
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(socket)?;
        let mut command = Command::new(program);
        // Its own group: a Ctrl-C at the daemon's terminal must not reach supervisors.
        command.arg("spawner").process_group(0);
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null());
        let process = command.spawn().map_err(start)?;
        Ok(Self { socket: ours, process })
    }

    /// Hands over a command. The returned channel ends when its supervisor does.
    ///
    /// # Errors
    /// `Hand` where the spawner is gone; then the command provably did not run.
    pub fn spawn(&self, created: Created) -> Result<EventChannel, SpawnError> {
        let (ours, theirs) = UnixStream::pair().map_err(|source| SpawnError::Socket { source })?;
        // The worker's copies go with this function: from then on the lock is the supervisor's.
        let Created { directory, lock, secrets, .. } = created;
        let mut descriptors = vec![directory.as_fd(), lock.as_fd(), theirs.as_fd()];
        descriptors.extend(secrets.as_ref().map(OwnedFd::as_fd));
        failpoint::around(Act::HandOver, || send(self.socket.as_fd(), &descriptors))
            .map_err(|source| SpawnError::Hand { source })?;
        Ok(EventChannel(ours))
    }

    /// Returns the spawner's process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // It ends by itself once the socket closes; reaping it is best effort.
        drop(self.process.try_wait());
    }
}

fn send(socket: BorrowedFd<'_>, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("the descriptors do not fit the control buffer"));
    }
    loop {
        match sendmsg(socket, &[io::IoSlice::new(b"r")], &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The spawner's own loop; its standard input is the socket.
///
/// # Errors
/// When the socket fails in another way than being closed.
pub fn spawner_main() -> io::Result<()> {
    // Supervisors that end are reaped by the kernel.
    sys::set_signal(libc::SIGCHLD, Disposition::Ignore);
    sys::set_signal(libc::SIGINT, Disposition::Ignore);
    sys::set_signal(libc::SIGHUP, Disposition::Ignore);
    // What a killed supervisor leaves behind comes to be a child of this process, where a sweep
    // finds it whatever it did to hide.
    set_child_subreaper(Pid::from_raw(1))?;
    let socket = rustix::stdio::stdin();
    // Every supervisor needs both; found out before the forks, it is done once. Asking the
    // processor what it can do is dear on a virtual machine.
    sys::boot_id();
    sys::is_spared();
    // Asked now: a supervisor whose spawner is gone would find another parent, and whose children
    // are whose is a matter of life and death.
    let spawner = Process::of(getpid().as_raw_nonzero().get());
    crc32c::crc32c(b"");
    while let Next::Taken = next(socket, spawner)? {}
    outlive_supervisors();
    Ok(())
}

/// What the socket brought.
enum Next {
    /// A command, or none because the process that stood by was killed.
    Taken,
    Closed,
}

/// Has a process stand by until the next command is taken.
fn next(socket: BorrowedFd<'_>, spawner: Option<Process>) -> io::Result<Next> {
    let parent = getpid();
    let ahead = || -> io::Result<_> {
        let (word, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        failpoint::before(Act::ForkSupervisor);
        Ok((sys::fork()?, word, theirs))
    };
    match ahead() {
        Ok((Forked::Parent(_), word, theirs)) => {
            failpoint::after(Act::ForkSupervisor);
            drop(theirs);
            hear(word.as_fd())
        }
        Ok((Forked::Child, word, theirs)) => {
            drop(word);
            stand_by(socket, theirs, parent, spawner)
        }
        // There may be room for a process when there is a command for it.
        Err(_) => late(socket, spawner),
    }
}

/// Takes a command and then forks.
fn late(socket: BorrowedFd<'_>, spawner: Option<Process>) -> io::Result<Next> {
    let Some(handed) = receive(socket)? else { return Ok(Next::Closed) };
    match sys::fork() {
        Ok(Forked::Parent(_)) => {}
        Ok(Forked::Child) => supervisor::run(handed, spawner),
        // Dropping the descriptors tells the worker: the channel closes, nothing ran.
        Err(error) => report(&format!("fork a supervisor: {error}")),
    }
    Ok(Next::Taken)
}

const TAKEN: &[u8] = b"t";
const CLOSED: &[u8] = b"c";
/// Before another process stands by for one that was killed.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits for what the process that stands by has to say.
fn hear(word: BorrowedFd<'_>) -> io::Result<Next> {
    let mut said = [0];
    loop {
        match rustix::io::read(word, &mut said) {
            Ok(0) => {
                std::thread::sleep(PAUSE);
                return Ok(Next::Taken);
            }
            Ok(_) if said == CLOSED => return Ok(Next::Closed),
            Ok(_) => return Ok(Next::Taken),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits for a command and becomes its supervisor.
fn stand_by(socket: BorrowedFd<'_>, word: OwnedFd, parent: Pid, spawner: Option<Process>) -> ! {
    match wait_for_command(socket, parent) {
        Ok(Some(handed)) => {
            // A spawner that is gone needs no word.
            rustix::io::write(&word, TAKEN).ok();
            drop(word);
            supervisor::run(handed, spawner)
        }
        Ok(None) => {
            rustix::io::write(&word, CLOSED).ok();
        }
        Err(error) => report(&format!("stand by for a command: {error}")),
    }
    exit_now(0)
}

/// Ends with the spawner while it has no command: what it left behind would find another parent.
fn wait_for_command(socket: BorrowedFd<'_>, parent: Pid) -> io::Result<Option<Handed>> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        // It died before the death signal was set.
        return Ok(None);
    }
    let command = receive(socket)?;
    set_parent_process_death_signal(None)?;
    Ok(command)
}

/// Waits until every child is gone: those of a killed supervisor have no other place to go.
fn outlive_supervisors() {
    while !matches!(wait(WaitOptions::empty()), Err(rustix::io::Errno::CHILD)) {}
}

fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Handed>> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0u8; 8];
        let mut slices = [io::IoSliceMut::new(&mut byte)];
        let message = match recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => message,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if message.bytes == 0 {
            return Ok(None);
        }
        let mut descriptors = Vec::new();
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = part {
                descriptors.extend(fds);
            }
        }
        if let Some(handed) = Handed::of(descriptors) {
            return Ok(Some(handed));
        }
    }
}

/// Writes one line to the daemon's log.
pub(crate) fn report(text: &str) {
    let line = format!("yardmaster-shim: {text}\n");
    // There is nobody left to tell if this fails.
    rustix::io::write(rustix::stdio::stderr(), line.as_bytes()).ok();
}
