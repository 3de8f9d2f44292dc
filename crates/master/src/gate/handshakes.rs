//! Connections that have not yet proved who they are.
//!
//! Anybody can open them, so they are few, they have a deadline, and a newcomer is worth more
//! than one that has had its chance: whoever means well says who it is in the first millisecond.
//! Invariants: never more than `MOST` are unfinished; where somebody has to go, it is the one that
//! has waited longest of the source with the most.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::limits;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Unfinished handshakes of a listener at once.
const MOST: usize = 256;
/// Of one source; more of them only while each is younger than `CHANCE`.
const MOST_OF_SOURCE: usize = 16;
/// For so long a newcomer does not have to go for another one of its source.
const CHANCE: Duration = Duration::from_millis(250);

/// Where connections come from, as far as the kernel can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A machine; of IPv6 a network, as one machine has all of its addresses.
    Machine(IpAddr),
    /// A user of this machine.
    User(u32),
}

/// Why a handshake was not waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Gone {
    #[error("no handshake within {} ms", limits::HANDSHAKE_MS)]
    Late,
    #[error("no handshake yet, and its room was needed for others")]
    CrowdedOut,
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self::Machine(match address.to_canonical() {
            IpAddr::V6(six) => IpAddr::V6((six.to_bits() >> 64 << 64).into()),
            four @ IpAddr::V4(_) => four,
        })
    }
}

/// The unfinished handshakes of one listener.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    room: Arc<Mutex<Room>>,
}

#[derive(Debug, Default)]
struct Room {
    /// Numbers those that enter, in their order.
    next: u64,
    inside: BTreeMap<u64, Inside>,
    by_source: BTreeMap<Source, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Inside {
    source: Source,
    since: Instant,
    leave: CancellationToken,
}

/// A handshake that has begun; its room is free once this is dropped.
#[derive(Debug)]
pub(super) struct Unfinished {
    room: Arc<Mutex<Room>>,
    number: u64,
    leave: CancellationToken,
}

impl Handshakes {
    /// Lets one in and returns how many had to go for it.
    pub(super) fn enter(&self, source: Source, now: Instant) -> (Unfinished, usize) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let crowded_out = room.make_way(source, now);
        let (number, leave) = room.enter(source, now);
        drop(room);
        (Unfinished { room: self.room.clone(), number, leave }, crowded_out)
    }
}

impl Room {
    fn enter(&mut self, source: Source, since: Instant) -> (u64, CancellationToken) {
        let (number, leave) = (self.next, CancellationToken::new());
        self.next += 1;
        self.inside.insert(number, Inside { source, since, leave: leave.clone() });
        self.by_source.entry(source).or_default().insert(number);
        (number, leave)
    }

    fn make_way(&mut self, source: Source, now: Instant) -> usize {
        let before = self.inside.len();
        while let Some(oldest) = self.one_too_many(source, now) {
            self.send_away(oldest);
        }
        if self.inside.len() >= MOST
            && let Some(oldest) = self.oldest_of_the_largest()
        {
            self.send_away(oldest);
        }
        before - self.inside.len()
    }

    /// Returns one of a source that has more than its part, if it has had its chance.
    fn one_too_many(&self, source: Source, now: Instant) -> Option<u64> {
        let numbers = self.by_source.get(&source).filter(|all| all.len() >= MOST_OF_SOURCE)?;
        let oldest = numbers.first().copied()?;
        let since = self.inside.get(&oldest)?.since;
        (now.saturating_duration_since(since) >= CHANCE).then_some(oldest)
    }

    fn oldest_of_the_largest(&self) -> Option<u64> {
        self.by_source.values().max_by_key(|numbers| numbers.len())?.first().copied()
    }

    fn send_away(&mut self, number: u64) {
        if let Some(leave) = self.forget(number) {
            leave.cancel();
        }
    }

    fn forget(&mut self, number: u64) -> Option<CancellationToken> {
        let Inside { source, leave, .. } = self.inside.remove(&number)?;
        if let Some(numbers) = self.by_source.get_mut(&source) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_source.remove(&source);
            }
        }
        Some(leave)
    }
}

impl Unfinished {
    /// Waits for a handshake, unless it takes too long or has to go.
    pub(super) async fn within<T>(self, handshake: impl Future<Output = T>) -> Result<T, Gone> {
        let deadline = Duration::from_millis(limits::HANDSHAKE_MS);
        // A handshake that was cut off is of no use to anybody. Whoever has to go is heard first:
        // it may have spoken before anybody had the time to listen.
        tokio::select! {
            biased;
            outcome = tokio::time::timeout(deadline, handshake) => outcome.map_err(|_late| Gone::Late),
            () = self.leave.cancelled() => Err(Gone::CrowdedOut),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.room.lock().unwrap_or_else(PoisonError::into_inner).forget(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MALLORY: Source = Source::User(1);
    const ALICE: Source = Source::User(2);

    fn crowd(all: &Handshakes, source: Source, count: usize, now: Instant) -> Vec<Unfinished> {
        (0..count).map(|_| all.enter(source, now).0).collect()
    }

    fn gone(crowd: &[Unfinished]) -> Vec<usize> {
        let gone = crowd.iter().enumerate().filter(|(_, one)| one.leave.is_cancelled());
        gone.map(|(at, _)| at).collect()
    }

    #[test]
    fn a_source_with_its_part_loses_the_oldest_that_had_its_chance() {
        let (all, now) = (Handshakes::default(), Instant::now());
        let crowd = crowd(&all, MALLORY, 20, now);
        assert_eq!(gone(&crowd), [0; 0]);
        assert_eq!(all.enter(ALICE, now + CHANCE).1, 0);
        let (_new, crowded_out) = all.enter(MALLORY, now + CHANCE);
        assert_eq!((crowded_out, gone(&crowd)), (5, vec![0, 1, 2, 3, 4]));
    }

    #[test]
    fn a_full_room_loses_the_oldest_of_the_source_with_the_most() {
        let (all, now) = (Handshakes::default(), Instant::now());
        let alice = crowd(&all, ALICE, 1, now);
        let mallory = crowd(&all, MALLORY, MOST, now);
        assert_eq!((gone(&alice), gone(&mallory)), (vec![], vec![0]));
        let (_new, crowded_out) = all.enter(ALICE, now);
        assert_eq!((crowded_out, gone(&mallory)), (1, vec![0, 1]));
        assert_eq!(all.room.lock().unwrap().inside.len(), MOST);
    }

    #[test]
    fn whoever_has_finished_leaves_nothing_behind() {
        let (all, now) = (Handshakes::default(), Instant::now());
        drop(crowd(&all, ALICE, MOST, now));
        let room = all.room.lock().unwrap();
        assert!(room.inside.is_empty() && room.by_source.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_has_a_deadline_and_may_have_to_go() {
        let (all, now) = (Handshakes::default(), Instant::now());
        let (one, _) = all.enter(ALICE, now);
        assert_eq!(one.within(async { 7 }).await, Ok(7));
        let (two, _) = all.enter(ALICE, now);
        assert_eq!(two.within(std::future::pending::<()>()).await, Err(Gone::Late));
        let (three, _) = all.enter(ALICE, now);
        three.leave.cancel();
        assert_eq!(three.within(std::future::pending::<()>()).await, Err(Gone::CrowdedOut));
    }

    #[tokio::test]
    async fn whoever_has_spoken_is_heard_before_it_has_to_go() {
        let (all, now) = (Handshakes::default(), Instant::now());
        for _ in 0..100 {
            let (one, _) = all.enter(ALICE, now);
            one.leave.cancel();
            assert_eq!(one.within(async { 7 }).await, Ok(7));
        }
    }

    #[test]
    fn addresses_of_one_machine_are_one_source() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::2:0:0:0"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_ne!(source("10.0.0.1"), source("10.0.0.2"));
    }
}
