//! Waits for whatever comes first: the master, a signal, or a moment.

use std::io;
use std::time::{Duration, Instant};

use proto::limits;
use proto::message::hello::Ping;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Run, Stop, WORTH_A_WORD};
use crate::connection::{Connection, Trouble};
use crate::signals::Signal;
use crate::status_file::Ending;

const PING: Duration = Duration::from_millis(limits::PING_MS);
const SILENCE: Duration = Duration::from_millis(limits::SILENCE_MS);

impl Run<'_> {
    /// Waits once and acts on what came. An ending means: go now.
    pub(super) fn wait(&mut self, connection: &mut Connection) -> Result<Option<Ending>, Stop> {
        let timeout = self.next_moment().saturating_duration_since(Instant::now());
        let [interrupt, terminate, hang_up] = self.signals.fds();
        let mut sources = [
            PollFd::new(&*connection, PollFlags::IN),
            PollFd::from_borrowed_fd(interrupt, PollFlags::IN),
            PollFd::from_borrowed_fd(terminate, PollFlags::IN),
            PollFd::from_borrowed_fd(hang_up, PollFlags::IN),
        ];
        poll_for(&mut sources, timeout).map_err(Trouble::Lost)?;
        let has_come = !sources[0].revents().is_empty();
        while let Some(signal) = self.signals.take() {
            if let Some(ending) = self.signal(signal, connection)? {
                return Ok(Some(ending));
            }
        }
        if has_come {
            connection.fill()?;
            self.heard = Instant::now();
        }
        self.moments(connection)
    }

    /// Returns when something has to be done although nothing comes.
    fn next_moment(&self) -> Instant {
        let mut moment = self.heard.max(self.asked) + PING;
        if let Some((since, _)) = &self.waiting
            && !self.has_said_queued
        {
            moment = moment.min(*since + WORTH_A_WORD);
        }
        if let Some((deadline, _)) = self.leaving {
            moment = moment.min(deadline);
        }
        moment
    }

    fn moments(&mut self, connection: &mut Connection) -> Result<Option<Ending>, Stop> {
        let now = Instant::now();
        if let Some((deadline, code)) = self.leaving
            && now >= deadline
        {
            return Ok(Some(self.ending(code, "left without an answer of the master")));
        }
        let lasts = |(since, _): &(Instant, String)| now >= *since + WORTH_A_WORD;
        if !self.has_said_queued && self.waiting.as_ref().is_some_and(lasts) {
            self.say_waiting();
        }
        if now.duration_since(self.heard) >= SILENCE {
            return Err(Trouble::Lost(io::ErrorKind::TimedOut.into()).into());
        }
        if now.duration_since(self.heard.max(self.asked)) >= PING {
            self.asked = now;
            connection.send(&Ping { nonce: 0 })?;
        }
        Ok(None)
    }

    /// Waits between two connections. Returns the signal that ended the wait.
    pub(super) fn pause(&mut self, length: Duration) -> Option<Signal> {
        let end = Instant::now() + length;
        loop {
            if let Some(signal) = self.signals.take() {
                return Some(signal);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let mut sources =
                self.signals.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            if poll_for(&mut sources, left).is_err() {
                return None;
            }
        }
    }
}

/// Polls; an interrupted call is as good as one that timed out.
fn poll_for(sources: &mut [PollFd<'_>], timeout: Duration) -> io::Result<()> {
    // Rounded up, or the last fraction of a millisecond would be spent spinning.
    let timeout = timeout + Duration::from_micros(500);
    let timeout = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
    match poll(sources, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
