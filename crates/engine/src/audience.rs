//! Tells those who follow a request that waits when its place or what keeps it there changes.
//!
//! Whatever happens may have moved every line, so after an event everybody's outlook is looked at
//! once more, in turns: so many at a time, and so many told, then a pause. A dispatch costs the
//! same however many wait and follow; what grows is the time until the last of them has been told.
//!
//! Invariant: after an event everybody is looked at, as long as time passes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use config::Name;

use crate::decision::Action;
use crate::durable::QueueKey;
use crate::engine::Engine;
use crate::id::RequestId;
use crate::row::RequestState;
use crate::time::Now;
use crate::volatile::Deadline;
use crate::why::Blocker;

/// Between two looks. With the numbers below a thousand followers are told within 100 ms.
const PAUSE_US: i64 = 20_000;
const MOST_LOOKED_AT: usize = 1_024;
const MOST_TOLD: usize = 256;

/// Where somebody waits: a builder's line, and the place in it.
type Seat = (Name, QueueKey);

/// What a request that waits can say of itself.
#[derive(Debug, Clone, PartialEq)]
struct Outlook {
    ahead: usize,
    blockers: Arc<[Blocker]>,
}

/// Followed requests that wait, each with the outlook its followers know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audience {
    known: BTreeMap<Seat, Outlook>,
    /// Who was looked at last.
    last: Option<Seat>,
    /// How many are still to be looked at since the last event.
    left: usize,
    looked_us: Option<i64>,
}

/// What keeps the requests of each builder waiting, found out once a look.
type Blockers = BTreeMap<Name, Arc<[Blocker]>>;

impl Audience {
    /// Takes note that something happened.
    pub(crate) fn stir(&mut self) {
        self.left = self.known.len();
    }

    /// Goes on in the turns, and returns who has another outlook than was known.
    fn look(&mut self, mut outlook: impl FnMut(&Seat) -> Option<Outlook>) -> Vec<RequestId> {
        let mut changed = Vec::new();
        for _ in 0..self.left.min(MOST_LOOKED_AT) {
            if changed.len() == MOST_TOLD {
                break;
            }
            self.left -= 1;
            let Some(seat) = self.next() else { break };
            match outlook(&seat) {
                None => drop(self.known.remove(&seat)),
                Some(now) => {
                    if self.known.insert(seat.clone(), now.clone()) != Some(now) {
                        changed.push(seat.1.1);
                    }
                }
            }
            self.last = Some(seat);
        }
        changed
    }

    fn next(&self) -> Option<Seat> {
        let behind = self
            .last
            .as_ref()
            .and_then(|last| self.known.range((Bound::Excluded(last), Bound::Unbounded)).next());
        behind.or_else(|| self.known.first_key_value()).map(|(seat, _)| seat.clone())
    }
}

impl Engine {
    /// Takes a follower of a request that waits into the audience. It finds out for itself how
    /// things are now.
    pub(crate) fn attend(&mut self, id: RequestId) {
        let Some(request) = self.durable.request(id) else { return };
        let seat = (request.builder.clone(), request.queue_key());
        if let Some(outlook) = self.outlook(&seat, &mut Blockers::new()) {
            self.volatile.audience.known.insert(seat, outlook);
        }
    }

    /// Follows a request to another place in its line.
    pub(crate) fn move_seat(&mut self, id: RequestId) {
        let known = &mut self.volatile.audience.known;
        known.retain(|(_, key), _| key.1 != id);
        if self.volatile.followers.contains_key(&id) {
            self.attend(id);
        }
    }

    /// Looks at the audience, unless that was done a moment ago; then it is done later.
    pub(crate) fn tell_audience(&mut self, now: Now) {
        let audience = &mut self.volatile.audience;
        if audience.left == 0 {
            return;
        }
        let next_us = audience.looked_us.map_or(now.boot_us, |looked_us| looked_us + PAUSE_US);
        if now.boot_us < next_us {
            self.volatile.arm_if_absent(Deadline::Look, next_us);
            return;
        }
        let mut audience = std::mem::take(audience);
        let mut blockers = Blockers::new();
        let changed = audience.look(|seat| self.outlook(seat, &mut blockers));
        audience.looked_us = Some(now.boot_us);
        if audience.left > 0 {
            self.volatile.arm_if_absent(Deadline::Look, now.boot_us + PAUSE_US);
        }
        self.volatile.audience = audience;
        let told = changed.into_iter().map(|request| Action::RequestChanged { request });
        self.actions.extend(told);
    }

    /// Returns the outlook of a request that waits and is followed.
    fn outlook(&self, seat: &Seat, blockers: &mut Blockers) -> Option<Outlook> {
        let (builder, key) = seat;
        let is_waiting = matches!(self.durable.request(key.1)?.state, RequestState::Waiting);
        if !is_waiting || !self.volatile.followers.contains_key(&key.1) {
            return None;
        }
        let ahead = self.durable.index().ahead_of(builder, key)?;
        let blockers = match blockers.get(builder) {
            Some(known) => known.clone(),
            None => {
                let found: Arc<[Blocker]> = self.builder_blockers(builder).into();
                blockers.entry(builder.clone()).or_insert(found).clone()
            }
        };
        Some(Outlook { ahead, blockers })
    }
}
