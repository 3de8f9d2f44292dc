//! A launch from its submission to its end, over as many connections as it takes.
//!
//! The launch id makes the submission the same one however often it is sent; the position in the
//! output makes every byte come out once. So a lost connection costs nothing but time.

mod frame;
mod leave;
mod wait;
pub(crate) mod words;

use std::time::Instant;

use failpoint::Act;
use proto::message::launch::{Follow, Launch, Leave, Stage, Wait};

use crate::connection::{Connection, Trouble};
use crate::interrupt::Presses;
use crate::notice::{Complaint, Speaker};
use crate::output::{OwnWords, Printer};
use crate::reconnect::Pauses;
use crate::settings::{Patience, Settings};
use crate::signals::Signals;
use crate::socket;
use crate::status_file::{Ending, Origin};
use leave::{Leaving, Wish};

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

impl From<proto::DecodeError> for Stop {
    fn from(error: proto::DecodeError) -> Self {
        Self::Trouble(error.into())
    }
}

/// One launch.
pub(crate) struct Run<'a> {
    settings: &'a Settings,
    speaker: &'a mut Speaker,
    launch: Launch,
    signals: Signals,
    presses: Presses,
    printer: Printer,
    began: Instant,
    /// The master has asked for more of the environment and got it.
    has_sent_more: bool,
    /// The request, once it was accepted.
    request: Option<String>,
    /// The launch may have reached a master.
    was_sent: bool,
    stage: Stage,
    /// Since when it waits, and what for; said when it has lasted.
    waiting: Option<(Instant, String)>,
    has_said_queued: bool,
    /// A wish that the master has not been sent yet.
    owed: Option<Wish>,
    /// A cancel was sent and not answered yet.
    is_cancelling: bool,
    leaving: Option<Leaving>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        speaker: &'a mut Speaker,
        launch: Launch,
        signals: Signals,
    ) -> Self {
        let own_words =
            if settings.is_quiet { OwnWords::Hide } else { OwnWords::Under(launch.app.clone()) };
        Self {
            settings,
            speaker,
            launch,
            signals,
            presses: Presses::default(),
            printer: Printer::new(own_words),
            began: Instant::now(),
            has_sent_more: false,
            request: None,
            was_sent: false,
            stage: Stage::Queued,
            waiting: None,
            has_said_queued: false,
            owed: None,
            is_cancelling: false,
            leaving: None,
        }
    }

    /// Follows the launch to its end.
    pub(crate) fn follow(mut self) -> Ending {
        let mut pauses = Pauses::new();
        let ending = loop {
            let trouble = match self.converse(&mut pauses) {
                Ok(ending) => break ending,
                Err(Stop::Complaint(complaint)) => break self.give_up(&complaint),
                Err(Stop::Trouble(trouble)) => trouble,
            };
            let pause = pauses.next(Instant::now()).filter(|_| self.is_passing(&trouble));
            let Some(pause) = pause else {
                let complaint = self.complaint(&trouble);
                break self.give_up(&complaint);
            };
            if let Some(ending) = self.pause(pause) {
                break ending;
            }
        };
        self.speaker.clear();
        ending
    }

    /// Says whether a trouble may be over soon. A master that was never there is not waited for.
    fn is_passing(&self, trouble: &Trouble) -> bool {
        match trouble {
            Trouble::Lost(_) => true,
            Trouble::Unreachable(error) => {
                self.was_sent || error.kind() == std::io::ErrorKind::Interrupted
            }
            Trouble::Refused(_) | Trouble::NotUnderstood(_) | Trouble::TooLarge(_) => false,
        }
    }

    fn converse(&mut self, pauses: &mut Pauses) -> Result<Ending, Stop> {
        let mut connection = self.open()?;
        let outcome = self.speak(&mut connection);
        if let Some(lasted) = connection.lasted(Instant::now()) {
            pauses.connected(lasted);
        }
        if self.is_going(&outcome) && connection.send(&Leave {}).is_err() {
            // Then the connection is lost, and the master finds out by itself.
        }
        outcome
    }

    /// Says whether the caller goes on its own account while the master takes it for following.
    fn is_going(&self, outcome: &Result<Ending, Stop>) -> bool {
        let is_followed = self.request.is_some() && self.launch.wait != Wait::Detach;
        is_followed
            && match outcome {
                Ok(ending) => ending.result.is_none(),
                Err(Stop::Complaint(_)) => true,
                Err(Stop::Trouble(_)) => false,
            }
    }

    fn open(&mut self) -> Result<Connection, Trouble> {
        let address = &self.settings.address;
        let patience = self.leaving.map_or(socket::PATIENCE, Leaving::patience);
        // A signal to an app that runs is the caller's to repeat; the wish to leave is kept.
        self.owed = self.leaving.map(Leaving::wish).or(self.owed);
        self.is_cancelling = false;
        match &self.request {
            Some(request) => {
                let position = self.printer.position();
                let follow = Follow { request: request.clone(), position };
                let open = || Connection::open_within(patience, address, &follow);
                failpoint::around(Act::Follow, open)
            }
            None => {
                let open = || Connection::open_within(patience, address, &self.launch);
                let opened = failpoint::around(Act::Launch, open);
                self.was_sent |= !matches!(opened, Err(Trouble::Unreachable(_)));
                opened
            }
        }
    }

    /// Speaks to the master until the end or the loss of the connection.
    fn speak(&mut self, connection: &mut Connection) -> Result<Ending, Stop> {
        loop {
            // What came before goes out before anything else is looked at.
            while self.printer.waits_for().is_none() {
                let frame = match connection.next() {
                    Err(Trouble::Refused(refusal)) if self.is_cancelling => {
                        self.cancel_refused(&refusal);
                        continue;
                    }
                    came => came?,
                };
                let Some(frame) = frame else { break };
                if let Some(ending) = self.frame(&frame, connection)? {
                    return Ok(ending);
                }
            }
            self.pay(connection)?;
            if let Some(ending) = self.wait(connection)? {
                return Ok(ending);
            }
        }
    }

    /// Returns how long the caller waits for the start, at most.
    fn patience_ends(&self) -> Option<Instant> {
        match self.settings.patience {
            Patience::AtMost(time) => Some(self.began + time),
            Patience::Forever | Patience::None | Patience::Detach => None,
        }
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
}
