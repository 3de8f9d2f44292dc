//! The connection to a master: find one, shake hands, carry orders in and reports and logs out,
//! and begin again when it breaks.
//!
//! `run` is the loop over masters with its pauses (`backoff`), `handshake` the beginning of a
//! connection, `session` its life, `streams` which log goes next, `ahead` what was read of it,
//! `writer` what is written first, `wire` the translation of messages.
//!
//! **Invariant**: dropping a connection is always safe. The next one begins with everything the
//! worker has.

mod ahead;
mod backoff;
mod facts;
mod handshake;
mod run;
mod session;
mod streams;
mod wire;
mod writer;

use attempt::{CommandId, ToMaster};
use proto::message::command::Readiness;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use run::{LinkState, Links, run};
pub(crate) use wire::{command_from_wire, start_from_wire};

/// What the daemon has to say to the master that is connected.
#[derive(Debug)]
pub(crate) enum ToLink {
    Report(ToMaster),
    /// A command began: its log is sent from the start.
    Stream(CommandId),
    /// Whether this worker takes builds has changed.
    Readiness(Readiness),
}

/// Words that may wait for a connection. One that falls so far behind is given up.
const WAITING: usize = 4_096;

/// The daemon's hold on a connection.
#[derive(Debug)]
pub(crate) struct Link {
    words: mpsc::Sender<ToLink>,
    close: CancellationToken,
}

impl Link {
    /// Makes a connection's two ends. The token ends the connection.
    fn new(close: CancellationToken) -> (Self, mpsc::Receiver<ToLink>) {
        let (words, receiver) = mpsc::channel(WAITING);
        (Self { words, close }, receiver)
    }

    /// Says something, or ends a connection that does not listen.
    pub(crate) fn tell(&self, word: ToLink) {
        if self.words.try_send(word).is_err() {
            self.close.cancel();
        }
    }
}
