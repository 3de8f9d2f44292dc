//! What every connection passes before it is anybody's: room for it, and a time to say who it is.
//!
//! A listener owns one gate. Those who have not yet proved who they are have little room and
//! little time (`handshakes`); those who have share the descriptors of the process, of which some
//! are kept for the daemon itself (`descriptors`). Whoever has spoken is heard at once (`prompt`).

mod descriptors;
mod handshakes;
mod prompt;
mod throttle;

use std::future::Future;
use std::io;

use anyhow::anyhow;
use tokio::time::{Instant, sleep};
use tracing::warn;

use descriptors::{BREATH, Spare};
pub use descriptors::{Descriptors, Share, Taken};
pub use handshakes::Source;
use handshakes::{Handshakes, Unfinished};
pub use prompt::{HasDescriptor, Prompt};
pub use throttle::Throttle;

/// The gate of one listener.
#[derive(Debug)]
pub struct Gate {
    whom: &'static str,
    handshakes: Handshakes,
    share: Share,
    spare: Spare,
    complaints: Throttle<&'static str>,
}

/// A connection that was let in and has yet to prove who it is.
#[derive(Debug)]
pub struct Admission {
    unfinished: Unfinished,
    taken: Taken,
}

impl Gate {
    /// Makes the gate of a listener for `whom`, such as "client".
    pub fn new(whom: &'static str, share: Share) -> Self {
        let (handshakes, spare) = (Handshakes::default(), Spare::new());
        Self { whom, handshakes, share, spare, complaints: Throttle::default() }
    }

    /// Lets a connection in, or not where the process has no room for more.
    pub fn admit(&self, source: Source) -> Option<Admission> {
        let Some(taken) = self.share.take() else {
            self.complain("no descriptor is free for it");
            return None;
        };
        let (unfinished, crowded_out) = self.handshakes.enter(source, Instant::now());
        if crowded_out > 0 {
            self.complain("it did not say who it is, and there are others");
        }
        Some(Admission { unfinished, taken })
    }

    /// Acts on an accept that failed. Where that was for want of descriptors, everybody who waits
    /// is turned away, so that nobody hangs and the listener does not spin.
    pub async fn accept_failed(&mut self, error: io::Error, accept: impl FnMut() -> bool) {
        if self.spare.turn_away(accept) == 0 {
            sleep(BREATH).await;
        }
        if let Some(others) = self.complaints.pass("accept", Instant::now()) {
            warn!("accept the connection of a {}: {error} ({others} more before)", self.whom);
        }
    }

    fn complain(&self, what: &'static str) {
        if let Some(others) = self.complaints.pass(what, Instant::now()) {
            warn!("the connection of a {} was closed: {what} ({others} more before)", self.whom);
        }
    }
}

impl Admission {
    /// Runs a handshake within its time. The room of those who have not finished is free again
    /// afterwards; the descriptor stays counted until it is dropped.
    ///
    /// # Errors
    /// Those of the handshake; and where it took too long, or others needed the room.
    pub async fn shake_hands<T>(
        self,
        handshake: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(T, Taken)> {
        let Self { unfinished, taken } = self;
        let outcome = unfinished.within(handshake).await.map_err(|gone| anyhow!(gone))??;
        Ok((outcome, taken))
    }
}
