//! The master's half: what it committed about a command, and what follows from a report.
//!
//! `Command` is part of the master's durable state. Every output is derived again from it after
//! a restart, so nothing is lost between the commit and the act.

use serde::{Deserialize, Serialize};

use crate::{CommandId, LostReason, Outcome, Place, Properties, Stamp, StopOrder, ToWorker, View};

/// Where the master holds a command to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Committed; the worker may or may not have heard of it.
    Assigned { stop: Option<StopOrder> },
    /// The worker reported it.
    Running { stop: Option<StopOrder> },
    /// It had not ended when the backup was made that this database was restored from. Only its
    /// worker knows whether it still runs; whatever else became of it, it may have ended long ago.
    Doubtful { stop: Option<StopOrder> },
    /// The outcome is committed; the log may still be coming.
    Ended { outcome: Outcome, log_bytes: u64 },
    /// Nobody waits for its end any more, and for readers its log ends where it is. It may still
    /// run, so its worker has to answer for it before its place is free.
    GivenUp,
    /// Its end is known, and nobody waits for the rest of its log any more.
    LogGivenUp { outcome: Outcome },
    /// Outcome and log are safe; the worker may forget it.
    Sealed { outcome: Outcome },
}

impl State {
    /// Returns how it was told to end, if it was and has not.
    pub fn stop(&self) -> Option<StopOrder> {
        match self {
            Self::Assigned { stop } | Self::Running { stop } | Self::Doubtful { stop } => *stop,
            Self::Ended { .. } | Self::GivenUp | Self::LogGivenUp { .. } | Self::Sealed { .. } => {
                None
            }
        }
    }
}

const GIVEN_UP: Outcome = Outcome::Lost(LostReason::GivenUp);

/// The master's half of one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub id: CommandId,
    pub place: Place,
    pub state: State,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// The worker attached at `place`, with this command among its own or not.
    Attached { place: &'a Place, view: Option<&'a View> },
    /// The worker reported the command on a connection that is already attached.
    Reported(&'a View),
    /// Somebody wants it ended.
    Stop(StopOrder),
    /// Somebody no longer waits for its worker.
    GiveUp,
    /// The log is complete, synced and its index committed.
    LogSealed,
    /// Nothing was sent on this connection where `Output::Send` asked for a start: the order could
    /// not be made, and the text says why.
    Unsent(&'a str),
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this, if the worker is attached; otherwise the next attach brings it up again.
    Send(ToWorker),
    /// The command was seen running for the first time.
    Began,
    /// The outcome is now known, once and for all, and with it what the command left.
    Ended { outcome: Outcome, properties: Option<Properties> },
    /// The rest of the log is gone from the worker's spool: it ends where it is.
    LogCut,
    /// The worker answered for a command that was given up: nothing of it runs there.
    Accounted,
}

impl Command {
    /// Makes a command that was decided but not yet sent.
    pub fn assigned(id: CommandId, place: Place) -> Self {
        Self { id, place, state: State::Assigned { stop: None } }
    }

    /// Returns what is known of the end.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Assigned { .. } | State::Running { .. } | State::Doubtful { .. } => None,
            State::Ended { outcome, .. }
            | State::LogGivenUp { outcome }
            | State::Sealed { outcome } => Some(outcome),
            State::GivenUp => Some(&GIVEN_UP),
        }
    }

    /// Forgets what a restored backup cannot know.
    pub fn doubt(&mut self) {
        if let State::Assigned { stop } | State::Running { stop } = self.state {
            self.state = State::Doubtful { stop };
        }
    }

    /// Says whether it was given up and may run still.
    pub fn is_unaccounted(&self) -> bool {
        matches!(self.state, State::GivenUp)
    }

    /// Takes an event and says what follows. `link` is the worker's current connection.
    pub fn handle(&mut self, input: Input<'_>, link: Option<Stamp>) -> Vec<Output> {
        match input {
            Input::Attached { place, view: None } => self.missing(place, link),
            Input::Attached { view: Some(view), .. } => self.attached(view, link),
            Input::Reported(view) => self.reported(view, link),
            Input::Stop(order) => self.stop(order, link),
            Input::GiveUp => self.give_up(link),
            Input::LogSealed => self.sealed(link),
            Input::Unsent(why) => self.unsent(why),
        }
    }

    /// Returns what to send to a worker that was just assigned this command.
    pub fn start(&self, link: Option<Stamp>) -> Vec<Output> {
        self.send(link, |stamp, command| ToWorker::Start { stamp, command })
    }

    fn send(&self, link: Option<Stamp>, message: fn(Stamp, CommandId) -> ToWorker) -> Vec<Output> {
        link.map(|stamp| Output::Send(message(stamp, self.id))).into_iter().collect()
    }

    fn send_stop(&self, order: StopOrder, link: Option<Stamp>) -> Vec<Output> {
        let stop = |stamp| Output::Send(ToWorker::Stop { stamp, command: self.id, order });
        link.map(stop).into_iter().collect()
    }

    /// The worker attached and does not have the command.
    fn missing(&mut self, place: &Place, link: Option<Stamp>) -> Vec<Output> {
        match &self.state {
            State::Assigned { stop } => {
                if place.spool_id != self.place.spool_id {
                    return self.end(Outcome::Lost(LostReason::Spool), 0);
                }
                if place.boot_id != self.place.boot_id {
                    return self.end(Outcome::Lost(LostReason::Reboot), 0);
                }
                // The same spool without the command, and older connections are refused by the
                // worker: it never ran and only a new START could make it.
                if stop.is_some() { self.end(Outcome::Cancelled, 0) } else { self.start(link) }
            }
            State::Running { .. } => {
                let reason = if place.spool_id != self.place.spool_id {
                    LostReason::Spool
                } else if place.boot_id != self.place.boot_id {
                    LostReason::Reboot
                } else {
                    LostReason::Forgotten
                };
                self.end(Outcome::Lost(reason), 0)
            }
            State::Doubtful { .. } => self.end(Outcome::Lost(LostReason::Restored), 0),
            // Only `FinalAck` lets a worker forget, and there was none: its spool is gone. Waiting
            // for bytes that nobody has would never end.
            State::Ended { log_bytes: 1.., .. } => self.cut(0),
            State::GivenUp | State::LogGivenUp { .. } => self.account(0),
            State::Ended { .. } | State::Sealed { .. } => Vec::new(),
        }
    }

    /// The log will not get longer than this, or than it is.
    fn cut(&mut self, left: u64) -> Vec<Output> {
        match &mut self.state {
            State::Ended { log_bytes, .. } => {
                *log_bytes = left;
                vec![Output::LogCut]
            }
            State::Assigned { .. }
            | State::Running { .. }
            | State::Doubtful { .. }
            | State::GivenUp
            | State::LogGivenUp { .. }
            | State::Sealed { .. } => Vec::new(),
        }
    }

    /// The worker answered for a command that was given up.
    fn account(&mut self, log_bytes: u64) -> Vec<Output> {
        let Some(outcome) = self.outcome().cloned() else { return Vec::new() };
        self.state = State::Ended { outcome, log_bytes };
        vec![Output::Accounted]
    }

    fn attached(&mut self, view: &View, link: Option<Stamp>) -> Vec<Output> {
        let mut outputs = self.reported(view, link);
        if let State::Running { stop: Some(order) } = self.state {
            outputs.extend(self.send_stop(order, link));
        }
        outputs
    }

    fn reported(&mut self, view: &View, link: Option<Stamp>) -> Vec<Output> {
        match (&self.state, view) {
            (State::Assigned { stop } | State::Doubtful { stop }, View::Running) => {
                self.state = State::Running { stop: *stop };
                vec![Output::Began]
            }
            (State::Assigned { .. }, View::Ended { outcome, log_bytes, properties }) => {
                let mut outputs = vec![Output::Began];
                outputs.extend(self.end_as_told(outcome, *log_bytes, properties.clone(), link));
                outputs
            }
            (State::Running { .. }, View::Ended { outcome, log_bytes, properties }) => {
                self.end_as_told(outcome, *log_bytes, properties.clone(), link)
            }
            // What followed upon its end was not in the backup, and must not happen again.
            (State::Doubtful { .. }, View::Ended { log_bytes, .. }) => {
                self.end(Outcome::Lost(LostReason::Restored), *log_bytes)
            }
            // The worker found that a part of what it once had is gone.
            (State::Ended { log_bytes, .. }, View::Ended { log_bytes: left, .. })
                if left < log_bytes =>
            {
                self.cut(*left)
            }
            (State::Running { .. }, View::Running) | (State::Ended { .. }, View::Ended { .. }) => {
                Vec::new()
            }
            // It was given up and runs after all: it must not go on.
            (
                State::Ended { .. }
                | State::GivenUp
                | State::LogGivenUp { .. }
                | State::Sealed { .. },
                View::Running,
            ) => self.send_stop(StopOrder::KILL, link),
            (State::GivenUp | State::LogGivenUp { .. }, View::Ended { log_bytes, .. }) => {
                self.account(*log_bytes)
            }
            (State::Sealed { .. }, View::Ended { .. }) => self.final_ack(link),
        }
    }

    /// A start is asked for only where the worker has not got the command, once a connection. So if
    /// nothing came of that, it never ran; and if the worker has reported it since, it did hear.
    fn unsent(&mut self, why: &str) -> Vec<Output> {
        match &self.state {
            State::Assigned { stop: Some(_) } => self.end(Outcome::Cancelled, 0),
            State::Assigned { stop: None } => self.end(Outcome::Unsent(why.to_owned()), 0),
            State::Running { .. }
            | State::Doubtful { .. }
            | State::Ended { .. }
            | State::GivenUp
            | State::LogGivenUp { .. }
            | State::Sealed { .. } => Vec::new(),
        }
    }

    fn stop(&mut self, order: StopOrder, link: Option<Stamp>) -> Vec<Output> {
        match &mut self.state {
            State::Assigned { stop } | State::Running { stop } | State::Doubtful { stop } => {
                *stop = Some(order);
                self.send_stop(order, link)
            }
            State::Ended { .. }
            | State::GivenUp
            | State::LogGivenUp { .. }
            | State::Sealed { .. } => Vec::new(),
        }
    }

    fn give_up(&mut self, link: Option<Stamp>) -> Vec<Output> {
        match &self.state {
            State::Assigned { .. } | State::Running { .. } | State::Doubtful { .. } => {
                self.state = State::GivenUp;
                let mut outputs = vec![Output::Ended { outcome: GIVEN_UP, properties: None }];
                outputs.extend(self.send_stop(StopOrder::KILL, link));
                outputs
            }
            State::Ended { outcome, .. } => {
                self.state = State::LogGivenUp { outcome: outcome.clone() };
                Vec::new()
            }
            State::GivenUp | State::LogGivenUp { .. } | State::Sealed { .. } => Vec::new(),
        }
    }

    fn sealed(&mut self, link: Option<Stamp>) -> Vec<Output> {
        match &self.state {
            State::Ended { outcome, .. } => {
                self.state = State::Sealed { outcome: outcome.clone() };
                self.final_ack(link)
            }
            State::GivenUp | State::LogGivenUp { .. } => {
                let mut outputs = self.account(0);
                outputs.extend(self.sealed(link));
                outputs
            }
            State::Assigned { .. }
            | State::Running { .. }
            | State::Doubtful { .. }
            | State::Sealed { .. } => Vec::new(),
        }
    }

    fn final_ack(&self, link: Option<Stamp>) -> Vec<Output> {
        self.send(link, |stamp, command| ToWorker::FinalAck { stamp, command })
    }

    /// Takes the end that the worker tells. Where the command said nothing there is no log to
    /// wait for: outcome and log are safe with the same commit.
    fn end_as_told(
        &mut self,
        outcome: &Outcome,
        log_bytes: u64,
        properties: Option<Properties>,
        link: Option<Stamp>,
    ) -> Vec<Output> {
        let mut outputs = self.end_with(outcome.clone(), log_bytes, properties);
        // Of a lost command the worker may know less than was sent before.
        if log_bytes == 0 && !matches!(outcome, Outcome::Lost(_)) {
            outputs.extend(self.sealed(link));
        }
        outputs
    }

    fn end(&mut self, outcome: Outcome, log_bytes: u64) -> Vec<Output> {
        self.end_with(outcome, log_bytes, None)
    }

    fn end_with(
        &mut self,
        outcome: Outcome,
        log_bytes: u64,
        properties: Option<Properties>,
    ) -> Vec<Output> {
        self.state = State::Ended { outcome: outcome.clone(), log_bytes };
        vec![Output::Ended { outcome, properties }]
    }
}

/// Says what to send about a command the master does not hold: it was finished long ago, or it
/// belongs to a database that was replaced. It must end, and then be forgotten.
pub fn disown(command: CommandId, view: &View, stamp: Stamp) -> ToWorker {
    match view {
        View::Running => ToWorker::Stop { stamp, command, order: StopOrder::KILL },
        View::Ended { .. } => ToWorker::FinalAck { stamp, command },
    }
}
