//! Who follows which request, kept outside the engine: an engine that is restored has forgotten.

use std::collections::BTreeMap;

use engine::{Event, RequestId};

/// Followers of each request, as of the last event whose fate is known.
#[derive(Debug, Default)]
pub(super) struct Followers(BTreeMap<RequestId, u32>);

impl Followers {
    /// Counts an event once it is settled, committed or not: whoever came is there, and whoever
    /// left is gone. To be called once per event, and never before: an engine restored in
    /// between would hear of it twice.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only followers are counted")]
    pub(super) fn settled(&mut self, event: &Event) {
        match event {
            Event::FollowerCame { request } => *self.0.entry(*request).or_default() += 1,
            Event::FollowerLeft { request, .. } => {
                if let Some(count) = self.0.get_mut(request) {
                    *count -= 1;
                    if *count == 0 {
                        self.0.remove(request);
                    }
                }
            }
            _ => {}
        }
    }

    /// Returns what a restored engine has to be told.
    pub(super) fn events(&self) -> impl Iterator<Item = Event> {
        let times = |(request, count): (&RequestId, &u32)| {
            std::iter::repeat_n(Event::FollowerCame { request: *request }, *count as usize)
        };
        self.0.iter().flat_map(times)
    }
}
