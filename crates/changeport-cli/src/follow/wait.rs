//! Waits for whatever comes first: the master, a signal, room for output, or a moment.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::{Run, Stop};
use crate::connection::{Connection, Trouble};
use crate::exit;
use crate::notice::Complaint;
use crate::poll;
use crate::status_file::Ending;

/// A wait shorter than this is not worth a word.
const WORTH_A_WORD: Duration = Duration::from_millis(60);
/// Longer than any wait needs to be.
const LONG: Duration = Duration::from_secs(3_600);

impl Run<'_> {
    /// Waits once and acts on what came. An ending means: go now.
    pub(super) fn wait(&mut self, connection: &mut Connection) -> Result<Option<Ending>, Stop> {
        match self.printer.waits_for() {
            Some(fd) => {
                let is_ready = self.is_ready(PollFd::from_borrowed_fd(fd, PollFlags::OUT), None)?;
                if is_ready && let Err(error) = self.printer.write_some() {
                    return Ok(Some(self.cannot_write(&error)));
                }
                connection.did_not_listen(Instant::now());
            }
            None => {
                let limit = Some(connection.next_moment());
                if self.is_ready(PollFd::new(&*connection, PollFlags::IN), limit)? {
                    connection.fill()?;
                }
                connection.tend(Instant::now())?;
            }
        }
        Ok(self.news())
    }

    /// Waits for a source, a signal, or the next moment at which something has to be done.
    fn is_ready(&self, source: PollFd<'_>, limit: Option<Instant>) -> Result<bool, Trouble> {
        let mut moment = self.next_moment();
        if let Some(limit) = limit {
            moment = moment.min(limit);
        }
        let signals = self.signals.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let mut sources: Vec<PollFd<'_>> = std::iter::once(source).chain(signals).collect();
        poll::wait_until(&mut sources, moment).map_err(Trouble::Lost)?;
        Ok(!sources[0].revents().is_empty())
    }

    /// Waits between two connections. An ending means: go now.
    pub(super) fn pause(&mut self, length: Duration) -> Option<Ending> {
        let end = Instant::now() + length;
        loop {
            if let Some(ending) = self.news() {
                return Some(ending);
            }
            if Instant::now() >= end {
                return None;
            }
            let signals = self.signals.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            let mut sources: Vec<PollFd<'_>> = signals.collect();
            if poll::wait_until(&mut sources, end.min(self.next_moment())).is_err() {
                return None;
            }
        }
    }

    /// Returns when something has to be done although nothing comes.
    fn next_moment(&self) -> Instant {
        let word = self.waiting.as_ref().filter(|_| !self.has_said_queued);
        let word = word.map(|(since, _)| *since + WORTH_A_WORD);
        let patience = self.patience_ends().filter(|_| self.can_lose_patience());
        let leaving = self.leaving.map(|leaving| leaving.deadline);
        let moments = [word, patience, leaving].into_iter().flatten();
        moments.min().unwrap_or_else(|| Instant::now() + LONG)
    }

    /// Acts on signals and on moments that have come.
    fn news(&mut self) -> Option<Ending> {
        let now = Instant::now();
        while let Some(signal) = self.signals.take() {
            if let Some(ending) = self.signal(signal, now) {
                return Some(ending);
            }
        }
        if self.leaving.is_some_and(|leaving| now >= leaving.deadline) {
            return Some(self.leave_unanswered());
        }
        self.lose_patience(now);
        let lasts = |(since, _): &(Instant, String)| now >= *since + WORTH_A_WORD;
        if !self.has_said_queued && self.waiting.as_ref().is_some_and(lasts) {
            self.say_waiting();
        }
        None
    }

    /// Nobody reads the output, or there is no room for it. Whether the app goes on is for its
    /// `on_disconnect` to say.
    fn cannot_write(&mut self, error: &io::Error) -> Ending {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return self.ending(exit::BROKEN_PIPE, "nobody reads the output");
        }
        let request = self.known_as();
        let what = format!("write the output: {error}; {request} may go on");
        let next = format!("later: changeport logs {request}");
        self.give_up(&Complaint::new(exit::UNKNOWN_OUTCOME, what, next))
    }
}
