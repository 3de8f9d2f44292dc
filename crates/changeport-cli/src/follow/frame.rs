//! What each message of the master means for the launch.

use std::time::Instant;

use failpoint::Act;
use proto::message::launch::{
    Accepted, Cancelled, Ended, EnvWanted, Follow, Output, Progress, Stage, Wait,
};
use proto::{Frame, Message as _};

use super::leave::Why;
use super::{Run, Stop, words};
use crate::connection::Connection;
use crate::exit;
use crate::notice::Complaint;
use crate::status_file::{Ending, Origin};
use crate::{environment, size};

impl Run<'_> {
    /// Acts on a message. An ending means: go now.
    pub(super) fn frame(
        &mut self,
        frame: &Frame,
        connection: &mut Connection,
    ) -> Result<Option<Ending>, Stop> {
        match frame.kind {
            Accepted::KIND => {
                let accepted = frame.open()?;
                return failpoint::around(Act::TakeAccepted, || {
                    self.accepted(&accepted, connection)
                });
            }
            EnvWanted::KIND => self.env_wanted(frame.open()?, connection)?,
            Progress::KIND => self.progress(&frame.open()?),
            Output::KIND => self.output(&frame.open()?)?,
            Ended::KIND => {
                let ended = frame.open()?;
                return Ok(Some(failpoint::around(Act::TakeEnded, || self.ended(ended))));
            }
            Cancelled::KIND => return Ok(self.cancelled(&frame.open()?)),
            _ => frame.skip_unknown()?,
        }
        Ok(None)
    }

    fn accepted(
        &mut self,
        accepted: &Accepted,
        connection: &mut Connection,
    ) -> Result<Option<Ending>, Stop> {
        let Some(request) = accepted.requests.first() else {
            let what = "the master accepted the launch and made no request of it";
            return Err(Stop::Complaint(Complaint::new(exit::BUG, what, "please report this")));
        };
        self.request = Some(request.clone());
        if self.launch.wait == Wait::Detach {
            return Ok(Some(self.ending(0, "")));
        }
        let position = self.printer.position();
        connection.send(&Follow { request: request.clone(), position })?;
        Ok(None)
    }

    /// Sends the launch again with what the app wants of the environment, once: the same launch,
    /// of which nothing was taken yet.
    fn env_wanted(&mut self, wanted: EnvWanted, connection: &mut Connection) -> Result<(), Stop> {
        if std::mem::replace(&mut self.has_sent_more, true) {
            let what = "the app wants other variables than a moment ago";
            let next = "its configuration has just changed: try again";
            return Err(Stop::Complaint(Complaint::new(exit::NEVER_RAN, what, next)));
        }
        self.launch.offered.extend(wanted.patterns);
        environment::fill(&mut self.launch);
        size::check(&self.launch).map_err(Stop::Complaint)?;
        Ok(connection.send(&self.launch)?)
    }

    fn progress(&mut self, progress: &Progress) {
        self.stage = progress.stage;
        match progress.stage {
            Stage::Queued => {
                let since = self.waiting.take().map_or_else(Instant::now, |(since, _)| since);
                self.waiting = Some((since, words::queued(progress)));
                if self.has_said_queued && self.speaker.is_live() {
                    self.say_waiting();
                }
            }
            Stage::Running => self.started(&progress.detail),
            Stage::Ended | Stage::Unknown => {}
        }
    }

    fn started(&mut self, detail: &str) {
        self.waiting = None;
        if !std::mem::take(&mut self.has_said_queued) {
            return;
        }
        let words = if self.speaker.is_live() {
            words::your_turn(detail)
        } else {
            words::started(detail, self.began.elapsed())
        };
        self.speaker.say(&words);
    }

    pub(super) fn say_waiting(&mut self) {
        if let Some((_, text)) = &self.waiting {
            self.speaker.say_live(text);
            self.has_said_queued = true;
        }
    }

    fn output(&mut self, output: &Output) -> Result<(), Stop> {
        self.speaker.clear();
        self.printer.take(output).map_err(|error| {
            let request = self.known_as();
            let next = format!("see: changeport logs {request}");
            Stop::Complaint(Complaint::new(exit::UNKNOWN_OUTCOME, error.to_string(), next))
        })
    }

    fn ended(&mut self, ended: Ended) -> Ending {
        let origin = if ended.reason.is_empty() { Origin::App } else { Origin::Launcher };
        if origin == Origin::Launcher && !self.printer.has_told(&ended.reason) {
            self.speaker.complain(&Complaint::new(ended.exit_code, &ended.reason, ""));
        }
        Ending {
            origin,
            request: Some(ended.request),
            result: Some(ended.result),
            exit_code: ended.exit_code,
            reason: ended.reason,
        }
    }

    /// A request that was taken back while it waited ends here; a running one ends by itself.
    fn cancelled(&mut self, cancelled: &Cancelled) -> Option<Ending> {
        self.is_cancelling = false;
        match cancelled.stage {
            Stage::Queued => {
                let why = self.leaving.map_or(Why::Interrupt, |leaving| leaving.why);
                Some(self.left(why))
            }
            Stage::Running => {
                self.just_missed();
                None
            }
            Stage::Ended | Stage::Unknown => None,
        }
    }
}
