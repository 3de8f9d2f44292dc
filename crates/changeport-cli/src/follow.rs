//! A launch from its submission to its end, over as many connections as it takes.
//!
//! The launch id makes the submission the same one however often it is sent; the position in the
//! output makes every byte come out once. So a lost connection costs nothing but time.

mod wait;

use std::time::{Duration, Instant};

use proto::Message as _;
use proto::message::launch::{
    Accepted, Cancel, Cancelled, Ended, Follow, Launch, Output, Progress, Stage, Wait,
};

use crate::connection::{Connection, Trouble};
use crate::exit;
use crate::interrupt::{Act, Presses};
use crate::notice::{Complaint, Speaker};
use crate::output::{OwnWords, Printer};
use crate::pause::Pauses;
use crate::settings::Settings;
use crate::signals::{Signal, Signals};
use crate::status_file::{Ending, Origin};

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// A wait shorter than this is not worth a word.
const WORTH_A_WORD: Duration = Duration::from_millis(150);
/// For the master to say that the request left the queue.
const TO_LEAVE: Duration = Duration::from_secs(2);
/// For the app to end after a SIGTERM.
const TO_END: Duration = Duration::from_secs(10);

/// Why a conversation with the master stopped before the end.
enum Stop {
    Trouble(Trouble),
    Complaint(Complaint),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// One launch.
pub(crate) struct Run<'a> {
    settings: &'a Settings,
    speaker: &'a mut Speaker,
    launch: &'a Launch,
    signals: Signals,
    presses: Presses,
    printer: Printer,
    /// The request, once it was accepted.
    request: Option<String>,
    /// The launch may have reached a master.
    was_sent: bool,
    stage: Stage,
    /// What a wait is for, to be said when it has lasted.
    waiting: Option<(Instant, String)>,
    has_said_queued: bool,
    began: Instant,
    /// The caller wants out; after this moment we go without an answer.
    leaving: Option<(Instant, u8)>,
    heard: Instant,
    asked: Instant,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        speaker: &'a mut Speaker,
        launch: &'a Launch,
        signals: Signals,
    ) -> Self {
        let now = Instant::now();
        Self {
            settings,
            speaker,
            launch,
            signals,
            presses: Presses::default(),
            printer: Printer::default(),
            request: None,
            was_sent: false,
            stage: Stage::Queued,
            waiting: None,
            has_said_queued: false,
            began: now,
            leaving: None,
            heard: now,
            asked: now,
        }
    }

    /// Follows the launch to its end.
    pub(crate) fn follow(mut self) -> Ending {
        let mut pauses: Option<Pauses> = None;
        loop {
            let trouble = match self.converse() {
                Ok(ending) => {
                    self.speaker.clear();
                    return ending;
                }
                Err(Stop::Complaint(complaint)) => return self.give_up(&complaint),
                Err(Stop::Trouble(trouble)) => trouble,
            };
            let is_passing = match &trouble {
                Trouble::Lost(_) => true,
                Trouble::Unreachable(_) => self.was_sent,
                Trouble::Refused(_) | Trouble::NotUnderstood(_) | Trouble::TooLarge(_) => false,
            };
            if !is_passing {
                let complaint = self.complaint(&trouble);
                return self.give_up(&complaint);
            }
            // Once something was heard again, the minute begins anew with the next loss.
            if matches!(trouble, Trouble::Lost(_)) && self.heard.elapsed() < WORTH_A_WORD {
                pauses = None;
            }
            let now = Instant::now();
            let pause = pauses.get_or_insert_with(|| Pauses::begin(now)).next(now);
            let Some(pause) = pause else {
                let complaint = self.complaint(&trouble);
                return self.give_up(&complaint);
            };
            if let Some(signal) = self.pause(pause) {
                return self.leave_without_master(signal);
            }
        }
    }

    /// Speaks to the master until the end or the loss of the connection.
    fn converse(&mut self) -> Result<Ending, Stop> {
        let (master, token) = (&self.settings.master, self.settings.token.as_ref());
        let mut connection = match &self.request {
            Some(request) => {
                let position = self.printer.position();
                Connection::open(master, token, &Follow { request: request.clone(), position })?
            }
            None => {
                let opened = Connection::open(master, token, self.launch);
                self.was_sent |= !matches!(opened, Err(Trouble::Unreachable(_)));
                opened?
            }
        };
        self.heard = Instant::now();
        self.asked = self.heard;
        if self.leaving.is_some() {
            self.cancel(&mut connection, SIGINT)?;
        }
        loop {
            while let Some(frame) = connection.next()? {
                if let Some(ending) = self.frame(&frame, &mut connection)? {
                    return Ok(ending);
                }
            }
            if let Some(ending) = self.wait(&mut connection)? {
                return Ok(ending);
            }
        }
    }

    fn frame(
        &mut self,
        frame: &proto::Frame,
        connection: &mut Connection,
    ) -> Result<Option<Ending>, Stop> {
        let open = Trouble::NotUnderstood;
        match frame.kind {
            Accepted::KIND => self.accepted(&frame.open().map_err(open)?, connection),
            Progress::KIND => {
                self.progress(frame.open().map_err(open)?);
                Ok(None)
            }
            Output::KIND => {
                let output: Output = frame.open().map_err(open)?;
                self.speaker.clear();
                match self.printer.print(&output, OwnWords::Hide) {
                    Ok(()) => Ok(None),
                    Err(_nobody_reads) => {
                        self.cancel(connection, SIGTERM)?;
                        Ok(Some(self.ending(exit::BROKEN_PIPE, "nobody reads the output")))
                    }
                }
            }
            Ended::KIND => Ok(Some(self.ended(frame.open().map_err(open)?))),
            Cancelled::KIND => Ok(self.cancelled(&frame.open().map_err(open)?)),
            _ => {
                frame.skip_unknown().map_err(open)?;
                Ok(None)
            }
        }
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
        if self.leaving.is_some() {
            self.cancel(connection, SIGINT)?;
        }
        Ok(None)
    }

    fn progress(&mut self, progress: Progress) {
        self.stage = progress.stage;
        match progress.stage {
            Stage::Queued => {
                let Progress { request, place, detail, .. } = progress;
                let text = format!("queued as {request}, {} in line: {detail}", ordinal(place));
                let since = self.waiting.take().map_or_else(Instant::now, |(since, _)| since);
                self.waiting = Some((since, text));
                if self.has_said_queued && self.speaker.is_live() {
                    self.say_waiting();
                }
            }
            Stage::Running => {
                self.waiting = None;
                if std::mem::take(&mut self.has_said_queued) {
                    let after = self.began.elapsed().as_secs();
                    self.speaker.clear();
                    if !self.speaker.is_live() {
                        self.speaker.say(&format!("started {} after {after} s", progress.detail));
                    }
                }
            }
            Stage::Ended | Stage::Unknown => {}
        }
    }

    fn say_waiting(&mut self) {
        if let Some((_, text)) = &self.waiting {
            self.speaker.say_live(text);
            self.has_said_queued = true;
        }
    }

    fn ended(&mut self, ended: Ended) -> Ending {
        let origin = if ended.reason.is_empty() { Origin::App } else { Origin::Launcher };
        if origin == Origin::Launcher {
            self.speaker.say(&ended.reason);
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
        if cancelled.stage != Stage::Queued {
            return None;
        }
        let code = self.leaving.map_or(exit::LEFT, |(_, code)| code);
        self.speaker.say("left the queue");
        Some(self.ending(code, "left the queue"))
    }

    fn cancel(&self, connection: &mut Connection, signal: i32) -> Result<(), Trouble> {
        let Some(request) = self.request.clone() else { return Ok(()) };
        connection.send(&Cancel { request, reason: String::new(), signal })
    }

    /// Acts on a signal. An ending means: go now.
    fn signal(
        &mut self,
        signal: Signal,
        connection: &mut Connection,
    ) -> Result<Option<Ending>, Stop> {
        let now = Instant::now();
        match signal {
            Signal::HangUp => return Ok(Some(self.ending(129, "the terminal is gone"))),
            Signal::Terminate => {
                self.leaving = Some((now + TO_END, exit::TERMINATED));
                self.cancel(connection, SIGTERM)?;
            }
            Signal::Interrupt => match self.presses.press(self.stage == Stage::Running, now) {
                Act::Leave => {
                    self.leaving = Some((now + TO_LEAVE, exit::LEFT));
                    self.cancel(connection, SIGINT)?;
                }
                Act::Interrupt => {
                    self.cancel(connection, SIGINT)?;
                    self.speaker.say("interrupted; Ctrl-C again within 2 s terminates");
                }
                Act::Terminate => {
                    self.cancel(connection, SIGTERM)?;
                    self.speaker.say("terminating; Ctrl-C again within 2 s leaves it behind");
                }
                Act::Detach => {
                    let request = self.request.clone().unwrap_or_default();
                    self.speaker
                        .say(&format!("left {request} behind; see: changeport status {request}"));
                    return Ok(Some(self.ending(exit::LEFT, "left behind")));
                }
            },
        }
        Ok(None)
    }

    fn leave_without_master(&mut self, signal: Signal) -> Ending {
        let code = match signal {
            Signal::Interrupt => exit::LEFT,
            Signal::Terminate => exit::TERMINATED,
            Signal::HangUp => 129,
        };
        let request = self.known_as();
        self.speaker.say(&format!("left while the master cannot be reached; {request} may go on"));
        self.ending(code, "left while the master could not be reached")
    }

    fn known_as(&self) -> String {
        self.request.clone().unwrap_or_else(|| format!("launch {}", self.launch.launch_id))
    }

    fn ending(&self, code: u8, reason: &str) -> Ending {
        Ending {
            origin: Origin::Launcher,
            request: self.request.clone(),
            result: None,
            exit_code: code,
            reason: reason.to_owned(),
        }
    }

    fn give_up(&mut self, complaint: &Complaint) -> Ending {
        self.speaker.complain(complaint);
        self.ending(complaint.code, &complaint.what)
    }

    /// Says what a trouble means for this launch.
    fn complaint(&self, trouble: &Trouble) -> Complaint {
        let lost = matches!(trouble, Trouble::Lost(_) | Trouble::Unreachable(_));
        match &self.request {
            Some(request) if lost => Complaint::new(
                exit::UNREACHABLE,
                format!("the master has not answered for a minute, and {request} may still run"),
                format!("later: changeport wait {request}"),
            ),
            Some(request) => Complaint::new(
                exit::UNKNOWN_OUTCOME,
                format!("{request}: {trouble}"),
                "it may have run",
            ),
            None if lost && self.was_sent => Complaint::new(
                exit::UNKNOWN_OUTCOME,
                format!("the master has not answered launch {}", self.launch.launch_id),
                "it may have run",
            ),
            None => crate::verb::complaint(trouble, &self.settings.master),
        }
    }
}

/// Shows a place in a line: 1st, 2nd, 3rd, 11th.
fn ordinal(place: u32) -> String {
    let suffix = match (place % 10, place % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{place}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::ordinal;

    #[test]
    fn places_read_well() {
        let shown: Vec<String> = [1, 2, 3, 4, 11, 12, 21, 111].map(ordinal).into();
        assert_eq!(shown, ["1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "111th"]);
    }
}
