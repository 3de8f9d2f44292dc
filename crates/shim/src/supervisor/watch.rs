//! The loop: output, requests, timeouts and the end of the command.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process_group, pidfd_open, waitpid,
};

use super::child::{Child, explain};
use super::limit;
use super::log::Log;
use super::peers::Peers;
use super::tree;
use crate::exit::Outcome;
use crate::frame::Request;
use crate::group::{Counted, Group};
use crate::record::{Channel, PAYLOAD_BYTES};
use crate::spec::Spec;
use crate::sys::{boot_us, timespec};

/// How long pipes may stay open after the tree is gone: only a survivor can hold them.
const DRAIN_US: i64 = 5_000_000;
/// Before a full disk is tried again.
const FULL_PAUSE_US: i64 = 100_000;
/// Workers are told of this much new output at the latest, in bytes, while there is always more.
const NEWS_BYTES: u64 = 256 * 1024;
/// Standard input that the command has not read, in bytes.
const MOST_STDIN_BYTES: usize = 1024 * 1024;

/// The end of a command.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) survivors: Vec<i32>,
}

/// Why the command was told to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    None,
    Timeout,
    Asked,
}

struct Watch<'a> {
    spec: &'a Spec,
    group: Option<&'a Group<'a>>,
    pid: Pid,
    process: OwnedFd,
    out: Option<OwnedFd>,
    err: Option<OwnedFd>,
    /// What is read at once; a new one for each read would be cleared each time.
    buffer: Vec<u8>,
    status: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    stdin_waiting: Vec<u8>,
    stdin_is_ending: bool,
    exec_error: Option<i32>,
    ending: Ending,
    /// When the tree is killed, on boot time.
    kill_at: Option<i64>,
    whole_at: Option<i64>,
    silence_at: Option<i64>,
    /// Up to where workers were told of the output.
    told_bytes: u64,
    log: &'a mut Log,
    peers: &'a mut Peers,
}

/// Runs until the command and its tree are gone and its output is read.
pub(super) fn watch(
    spec: &Spec,
    child: Child,
    group: Option<&Group<'_>>,
    log: &mut Log,
    peers: &mut Peers,
) -> io::Result<Ended> {
    let now = boot_us();
    let Child { pid, out, err, stdin, status, .. } = child;
    if let Some(stdin) = &stdin {
        rustix::io::ioctl_fionbio(stdin, true)?;
    }
    let mut watch = Watch {
        spec,
        group,
        pid,
        process: pidfd_open(pid, PidfdFlags::empty())?,
        out: Some(out),
        err: Some(err),
        buffer: vec![0; PAYLOAD_BYTES],
        status: Some(status),
        stdin,
        stdin_waiting: Vec::new(),
        stdin_is_ending: false,
        exec_error: None,
        ending: Ending::None,
        kill_at: None,
        whole_at: spec.timeout_ms.map(|limit| after(now, limit)),
        silence_at: spec.silence_timeout_ms.map(|limit| after(now, limit)),
        told_bytes: 0,
        log,
        peers,
    };
    let status = watch.run()?;
    watch.conclude(status)
}

fn after(now: i64, millis: u64) -> i64 {
    now.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX / 2_000).saturating_mul(1_000))
}

/// What a round of waiting found ready.
struct Ready {
    process: bool,
    out: bool,
    err: bool,
    peers: bool,
}

impl Watch<'_> {
    fn run(&mut self) -> io::Result<WaitStatus> {
        loop {
            let ready = self.rest()?;
            self.turn(&ready)?;
            if ready.process
                && let Some((_, status)) = waitpid(Some(self.pid), WaitOptions::NOHANG)?
            {
                return Ok(status);
            }
            self.deadlines(boot_us());
        }
    }

    fn turn(&mut self, ready: &Ready) -> io::Result<()> {
        let before = self.log.taken_bytes();
        self.log.flush()?;
        if ready.out {
            self.read_output(Channel::Out)?;
        }
        if ready.err {
            self.read_output(Channel::Err)?;
        }
        if self.log.live_length() - self.told_bytes >= NEWS_BYTES {
            self.tell_output();
        }
        // A command that waits for room on the disk is not silent.
        if self.log.taken_bytes() != before || self.log.is_stuck() {
            // A command that has timed out has no more limits: one that passed would be due at
            // once, again and again, until the kill.
            let limit = self.spec.silence_timeout_ms.filter(|_| self.ending != Ending::Timeout);
            self.silence_at = limit.map(|limit| after(boot_us(), limit));
        }
        if ready.peers || self.peers.are_unreachable() {
            for request in self.peers.requests() {
                self.request(request);
            }
        }
        self.feed_stdin();
        Ok(())
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Stop { signal, grace_ms } => {
                if self.ending == Ending::None {
                    self.ending = Ending::Asked;
                }
                let at = after(boot_us(), grace_ms);
                self.kill_at = Some(self.kill_at.map_or(at, |earlier| earlier.min(at)));
                self.signal(signal);
            }
            Request::Stdin(bytes) if self.stdin_waiting.len() < MOST_STDIN_BYTES => {
                self.stdin_waiting.extend(bytes);
            }
            Request::Stdin(_) => {}
            Request::StdinEnd => self.stdin_is_ending = true,
        }
    }

    /// Signals the process group; it may have ended just now.
    fn signal(&self, number: i32) {
        if let Some(signal) = Signal::from_named_raw(number) {
            kill_process_group(self.pid, signal).ok();
        }
    }

    fn feed_stdin(&mut self) {
        let Some(stdin) = &self.stdin else { return };
        while !self.stdin_waiting.is_empty() {
            match rustix::io::write(stdin, &self.stdin_waiting) {
                Ok(count) => drop(self.stdin_waiting.drain(..count)),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                // The command closed its end: what it did not want is dropped.
                Err(_) => {
                    self.stdin = None;
                    return;
                }
            }
        }
        if self.stdin_is_ending {
            self.stdin = None;
        }
    }

    fn deadlines(&mut self, now: i64) {
        let is_due = |at: Option<i64>| at.is_some_and(|at| at <= now);
        if is_due(self.kill_at) {
            self.kill_at = Some(now.saturating_add(100_000));
            self.signal(libc::SIGKILL);
        }
        if (is_due(self.whole_at) || is_due(self.silence_at)) && self.ending != Ending::Timeout {
            self.ending = Ending::Timeout;
            self.whole_at = None;
            self.silence_at = None;
            self.kill_at = Some(after(now, self.spec.kill_grace_ms));
            self.signal(libc::SIGTERM);
        }
    }

    fn next_deadline(&self) -> Option<i64> {
        // Standard input that could not be written is tried again soon.
        let is_owed = self.stdin.is_some() && !self.stdin_waiting.is_empty();
        let stdin = is_owed.then(|| boot_us() + 5_000);
        // So is a full disk.
        let is_full = self.log.is_stuck() || self.peers.are_unreachable();
        let disk = is_full.then(|| boot_us() + FULL_PAUSE_US);
        [self.kill_at, self.whole_at, self.silence_at, stdin, disk].into_iter().flatten().min()
    }

    /// Waits for the next thing to do. Workers are told of new output before, but not where there
    /// is more of it already: a word for each piece of a flood wakes them more often than it is
    /// worth.
    fn rest(&mut self) -> io::Result<Ready> {
        if self.has_news() {
            let ready = self.wait(Some(0))?;
            if ready.out || ready.err {
                return Ok(ready);
            }
            self.tell_output();
        }
        self.wait(self.next_deadline())
    }

    fn has_news(&self) -> bool {
        self.told_bytes != self.log.live_length()
    }

    fn tell_output(&mut self) {
        self.told_bytes = self.log.live_length();
        self.peers.tell_output(self.told_bytes);
    }

    /// Waits for descriptors until a moment.
    fn wait(&self, until: Option<i64>) -> io::Result<Ready> {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(8);
        let process = add(&mut fds, Some(&self.process));
        let has_room = !self.log.is_stuck();
        let out = add(&mut fds, self.out.as_ref().filter(|_| has_room));
        let err = add(&mut fds, self.err.as_ref().filter(|_| has_room));
        let first_peer = fds.len();
        fds.extend(self.peers.descriptors().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let timeout = until.map(|until| timespec((until - boot_us()).max(0)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |at: Option<usize>| at.is_some_and(|at| !fds[at].revents().is_empty());
        Ok(Ready {
            process: is_ready(process),
            out: is_ready(out),
            err: is_ready(err),
            peers: fds[first_peer..].iter().any(|fd| !fd.revents().is_empty()),
        })
    }

    fn read_status(&mut self) {
        let Some(status) = &self.status else { return };
        let mut code = [0u8; 4];
        match rustix::io::read(status, &mut code) {
            Ok(4) => self.exec_error = Some(i32::from_le_bytes(code)),
            Err(rustix::io::Errno::INTR) => return,
            Ok(_) | Err(_) => {}
        }
        self.status = None;
    }

    /// Reads once from one of the command's pipes, and lets go of it at its end.
    fn read_output(&mut self, channel: Channel) -> io::Result<()> {
        let from = if channel == Channel::Err { &mut self.err } else { &mut self.out };
        let Some(fd) = from else { return Ok(()) };
        match rustix::io::read(&*fd, &mut self.buffer[..]) {
            Ok(0) => {
                *from = None;
                self.log.end(channel)?;
            }
            Ok(count) => self.log.output(channel, &self.buffer[..count])?,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The main process has ended: its tree has to, and its pipes are read to their end.
    fn conclude(&mut self, status: WaitStatus) -> io::Result<Ended> {
        // Before the end of the tree, which may itself reach a limit.
        let counted = self.group.map(Group::counted).unwrap_or_default();
        let ended = self.end_tree()?;
        self.drain()?;
        if ended.killed > 0 {
            let text = format!("ended {} process(es) that the command left behind", ended.killed);
            self.log.system(&text)?;
        }
        Ok(Ended { outcome: self.outcome(status, counted)?, survivors: ended.survivors })
    }

    /// Ends the tree, however long it takes: what is still there is told, and holds its place.
    fn end_tree(&mut self) -> io::Result<tree::Ended> {
        let end = || tree::end(self.pid, self.group, tree::AT_ONCE);
        let mut ended = failpoint::around(failpoint::Act::TreeEnd, end);
        let mut left = ended.survivors.clone();
        if !left.is_empty() {
            let text = format!(
                "could not end processes {left:?}; the command is not over before they are gone"
            );
            self.log.system(&text)?;
            self.log.flush()?;
            self.tell_output();
        }
        while !left.is_empty() {
            let again = tree::end(self.pid, self.group, tree::LATER);
            ended.killed = ended.killed.max(again.killed);
            left = again.survivors;
            // Nothing is left that could be asked of the command; but peers come and go.
            drop(self.peers.requests());
        }
        Ok(ended)
    }

    fn outcome(&mut self, status: WaitStatus, counted: Counted) -> io::Result<Outcome> {
        if self.status.is_some() {
            self.read_status();
        }
        if let Some(code) = self.exec_error {
            return Ok(Outcome::NotStarted(explain(self.spec, code)));
        }
        if let Some(group) = self.group {
            let verdict = limit::judge(group.limits(), counted, status.exit_status());
            for line in &verdict.said {
                self.log.system(line)?;
            }
            if let Some(outcome) = verdict.outcome {
                return Ok(outcome);
            }
        }
        if self.ending == Ending::Timeout {
            self.log.system("ended for taking too long")?;
            return Ok(Outcome::Timeout);
        }
        Ok(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Outcome::Exited(code),
            (None, Some(signal)) => Outcome::Signal(signal),
            (None, None) => Outcome::Signal(libc::SIGKILL),
        })
    }

    fn drain(&mut self) -> io::Result<()> {
        let until = boot_us() + DRAIN_US;
        while (self.out.is_some() || self.err.is_some()) && boot_us() < until {
            let ready = self.wait_for_pipes(until)?;
            if ready.0 {
                self.read_output(Channel::Out)?;
            }
            if ready.1 {
                self.read_output(Channel::Err)?;
            }
        }
        if self.has_news() {
            self.tell_output();
        }
        Ok(())
    }

    fn wait_for_pipes(&self, until: i64) -> io::Result<(bool, bool)> {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(2);
        for fd in [&self.out, &self.err].into_iter().flatten() {
            fds.push(PollFd::new(fd, PollFlags::IN));
        }
        let timeout = timespec((until - boot_us()).max(0));
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let out = self.out.is_some() && ready.next().unwrap_or(false);
        let err = self.err.is_some() && ready.next().unwrap_or(false);
        Ok((out, err))
    }
}

/// Adds a descriptor to wait for and returns its place.
fn add<'f>(fds: &mut Vec<PollFd<'f>>, fd: Option<&'f OwnedFd>) -> Option<usize> {
    fds.push(PollFd::new(fd?, PollFlags::IN));
    Some(fds.len() - 1)
}
