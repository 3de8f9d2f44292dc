//! Followers: a request that lives for its caller ends when nobody follows it any more.

use attempt::StopOrder;

use crate::engine::Engine;
use crate::event::Departure;
use crate::id::RequestId;
use crate::row::OnDisconnect;
use crate::time::Now;
use crate::volatile::Deadline;

/// After acceptance, after a start of the master, and after a connection was lost on the way, a
/// caller counts as following this long.
const PRESUMED_US: i64 = 30_000_000;

/// A caller on this machine whose socket was closed connects anew within this, or it has ended.
const REOPENED_US: i64 = 500_000;

/// What the command of a caller who left gets: a hang-up, then the kill of the tree.
pub(crate) const HANG_UP: StopOrder = StopOrder { signal: 1, grace_ms: 5_000 };

impl Engine {
    /// Gives a caller time to appear.
    pub(crate) fn presume_followed(&mut self, now: Now, request: RequestId) {
        self.volatile.arm(Deadline::Unfollowed(request), now.boot_us + PRESUMED_US);
    }

    fn expect_back(&mut self, now: Now, request: RequestId, within_us: i64) {
        if self.durable.request(request).is_some() {
            self.volatile.arm(Deadline::Unfollowed(request), now.boot_us + within_us);
        }
    }

    pub(crate) fn follower_came(&mut self, request: RequestId) {
        *self.volatile.followers.entry(request).or_default() += 1;
        self.volatile.disarm(&Deadline::Unfollowed(request));
        self.attend(request);
    }

    pub(crate) fn follower_left(&mut self, now: Now, request: RequestId, departure: Departure) {
        let Some(count) = self.volatile.followers.get_mut(&request) else { return };
        *count -= 1;
        if *count == 0 {
            self.volatile.followers.remove(&request);
            match departure {
                Departure::Farewell => self.unfollowed(now, request),
                Departure::Closed => self.expect_back(now, request, REOPENED_US),
                Departure::Lost => self.expect_back(now, request, PRESUMED_US),
            }
        }
    }

    /// Nobody follows the request, and nobody is expected to.
    pub(crate) fn unfollowed(&mut self, now: Now, id: RequestId) {
        let is_wanted = self.volatile.followers.contains_key(&id);
        let Some(request) = self.durable.request(id) else { return };
        if is_wanted || request.on_disconnect == OnDisconnect::Keep {
            return;
        }
        self.stop_request(now, id, "its caller left".to_owned(), HANG_UP);
    }
}
