//! Why and how a caller leaves before the end: signals, and a wait that took too long.

use std::time::{Duration, Instant};

use proto::message::hello::Refusal;
use proto::message::launch::{Cancel, Stage};

use super::{Run, words};
use crate::connection::{Connection, Trouble};
use crate::exit;
use crate::interrupt::Act;
use crate::notice::Complaint;
use crate::signals::Signal;
use crate::socket;
use crate::status_file::Ending;

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// For the master to say that the request left the queue.
const TO_LEAVE: Duration = Duration::from_secs(2);
/// For the app to end after a SIGTERM: the master kills it after 10 s, and that is to be heard.
const TO_END: Duration = Duration::from_secs(12);

/// What makes the caller leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Interrupt,
    Terminate,
    Impatience,
}

/// What is asked of the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// To take the request back, unless it runs.
    LeaveQueue,
    /// To take it back, or to send this to the app if it runs.
    Signal(i32),
}

/// A caller that has said so and waits for the answer of the master.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving {
    pub(super) why: Why,
    /// When it goes without an answer.
    pub(super) deadline: Instant,
}

impl Leaving {
    /// Returns what to ask of the master. Patience is for the start: what runs is left alone.
    pub(super) fn wish(self) -> Wish {
        match self.why {
            Why::Interrupt => Wish::Signal(SIGINT),
            Why::Terminate => Wish::Signal(SIGTERM),
            Why::Impatience => Wish::LeaveQueue,
        }
    }

    /// Says whether the caller said so, and did not just wait for too long.
    fn is_said(self) -> bool {
        self.why != Why::Impatience
    }

    /// Returns how long a connection may take to be made.
    pub(super) fn patience(self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left.clamp(Duration::from_millis(1), socket::PATIENCE)
    }
}

fn code_of(signal: Signal) -> u8 {
    match signal {
        Signal::Interrupt => exit::LEFT,
        Signal::Terminate => exit::TERMINATED,
        Signal::HangUp => exit::HUNG_UP,
    }
}

impl Run<'_> {
    /// Acts on a signal. An ending means: go now.
    pub(super) fn signal(&mut self, signal: Signal, now: Instant) -> Option<Ending> {
        match signal {
            Signal::Interrupt | Signal::Terminate if !self.was_sent => {
                let code = code_of(signal);
                Some(self.ending(code, "left before it was submitted"))
            }
            // Whether the app goes on is for its `on_disconnect` to say.
            Signal::HangUp => Some(self.ending(code_of(signal), "the terminal is gone")),
            Signal::Terminate => {
                self.leave(Why::Terminate, now + TO_END);
                None
            }
            Signal::Interrupt => self.press(now),
        }
    }

    fn press(&mut self, now: Instant) -> Option<Ending> {
        match self.presses.press(self.stage == Stage::Running, now) {
            Act::Leave if self.leaving.is_some_and(Leaving::is_said) => {
                return Some(self.leave_unanswered());
            }
            Act::Leave => self.leave(Why::Interrupt, now + TO_LEAVE),
            Act::Interrupt => {
                self.owed = Some(Wish::Signal(SIGINT));
                self.speaker.say("interrupting it; Ctrl-C again within 2 s terminates it");
            }
            Act::Terminate => {
                self.owed = Some(Wish::Signal(SIGTERM));
                self.speaker.say("terminating it; Ctrl-C again within 2 s leaves it behind");
            }
            Act::Detach => {
                let request = self.known_as();
                self.speaker.say(&format!("left {request}; see: changeport status {request}"));
                return Some(self.ending(exit::LEFT, "left behind"));
            }
        }
        None
    }

    fn leave(&mut self, why: Why, deadline: Instant) {
        let said = self.leaving.filter(|leaving| leaving.is_said());
        let leaving = said.unwrap_or(Leaving { why, deadline });
        self.leaving = Some(leaving);
        self.owed = Some(leaving.wish());
    }

    /// Sends the cancel that is owed, once there is something to cancel.
    pub(super) fn pay(&mut self, connection: &mut Connection) -> Result<(), Trouble> {
        let Some(request) = self.request.clone() else { return Ok(()) };
        let Some(wish) = self.owed.take() else { return Ok(()) };
        self.is_cancelling = true;
        let (signal, only_queued) = match wish {
            Wish::LeaveQueue => (0, true),
            Wish::Signal(signal) => (signal, false),
        };
        let cancel = Cancel { request, reason: String::new(), signal, only_queued };
        failpoint::around(failpoint::Act::Cancel, || connection.send(&cancel))
    }

    /// The master did not cancel: the launch goes on, and so does the caller.
    pub(super) fn cancel_refused(&mut self, refusal: &Refusal) {
        self.is_cancelling = false;
        self.leaving = None;
        self.speaker.complain(&Complaint::new(0, &refusal.message, &refusal.hint));
    }

    /// Says whether the caller can still become tired of waiting.
    pub(super) fn can_lose_patience(&self) -> bool {
        self.stage == Stage::Queued && self.leaving.is_none()
    }

    /// Leaves a queue in which the caller has been for long enough.
    pub(super) fn lose_patience(&mut self, now: Instant) {
        let has_ended = self.patience_ends().is_some_and(|end| now >= end);
        if has_ended && self.can_lose_patience() {
            self.leave(Why::Impatience, now + TO_LEAVE);
        }
    }

    /// The request left the queue and never ran.
    pub(super) fn left(&mut self, why: Why) -> Ending {
        let code = match why {
            Why::Interrupt => exit::LEFT,
            Why::Terminate => exit::TERMINATED,
            Why::Impatience => {
                let app = &self.launch.app;
                let what = format!("left the queue: it did not start {}", words::in_time(self));
                let next = format!("try later, or: changeport submit {app}");
                return self.give_up(&Complaint::new(exit::NEVER_RAN, what, next));
            }
        };
        self.speaker.say("left the queue");
        self.ending(code, "left the queue")
    }

    /// The caller wanted to leave the queue, and the app had just started: a signal went to the
    /// app instead, and without one it goes on.
    pub(super) fn just_missed(&mut self) {
        self.stage = Stage::Running;
        let Some(leaving) = self.leaving else { return };
        match leaving.why {
            Why::Interrupt => {
                self.leaving = None;
                self.presses.interrupted(Instant::now());
                self.speaker.say(
                    "it had just started and is interrupted; Ctrl-C again within 2 s terminates it",
                );
            }
            Why::Impatience => self.leaving = None,
            Why::Terminate => {}
        }
    }

    /// Goes although the master has not answered.
    pub(super) fn leave_unanswered(&mut self) -> Ending {
        let what = format!("left without an answer of the master; {} may go on", self.known_as());
        let code = match self.leaving.map(|leaving| leaving.why) {
            Some(Why::Interrupt) | None => exit::LEFT,
            Some(Why::Terminate) => exit::TERMINATED,
            Some(Why::Impatience) => exit::UNKNOWN_OUTCOME,
        };
        let request = self.request.as_deref().unwrap_or_default();
        let next = format!("see: changeport status {request}");
        self.give_up(&Complaint::new(code, what, next.trim_end()))
    }
}
