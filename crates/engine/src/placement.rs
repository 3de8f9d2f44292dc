//! Which of several workers gets a build.

use std::cmp::Reverse;

use config::{Context, Entry, Name, choice};

use crate::engine::Engine;
use crate::event::Readiness;
use crate::resources::{Lack, Resources};
use crate::settings::Builder;

/// What a builder prefers. Of equals the first by name is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Placement {
    /// The worker with most free places.
    #[default]
    LeastLoaded,
    /// The one with fewest: whole workers stay free.
    MostLoaded,
    /// The one with fewest builds of the same builder.
    Spread,
    /// The same for all builds, as long as it has a place.
    StickyByBuilder,
    /// The same for all builds of one owner, as long as it has a place.
    StickyByUser,
}

impl Placement {
    /// Reads the key `placement`.
    pub(crate) fn decode(entry: Option<&Entry>, cx: &mut Context<'_>) -> Option<Self> {
        let Some(entry) = entry else { return Some(Self::default()) };
        let words = [
            ("least_loaded", Self::LeastLoaded),
            ("most_loaded", Self::MostLoaded),
            ("spread", Self::Spread),
            ("sticky_builder", Self::StickyByBuilder),
            ("sticky_user", Self::StickyByUser),
        ];
        choice(&entry.value, &words, cx)
    }
}

/// What a worker has to offer for a request.
pub(crate) enum Room {
    /// It may start there; the least rank is best.
    Free(Rank),
    /// It will fit there once others have ended.
    Later(Lack),
    None,
}

/// How a builder likes a worker, and its name where it likes two alike.
pub(crate) type Rank = (u64, Reverse<u32>, Name);

/// Who asks for a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeker<'a> {
    pub(crate) name: &'a Name,
    pub(crate) builder: &'a Builder,
    pub(crate) owner: &'a str,
}

impl Engine {
    /// Says whether there is room for a request on an attached worker.
    pub(crate) fn room(&self, seeker: Seeker<'_>, worker: &Name) -> Room {
        let places = self.free_places(worker);
        if places == 0 || !self.could_run(seeker, worker) {
            return Room::None;
        }
        match self.lack(&seeker.builder.resources, worker) {
            None => Room::Free(self.rank(seeker, worker, places)),
            Some(lack) => Room::Later(lack),
        }
    }

    /// Says whether an attached worker may run a builder and has all that it wants, though others
    /// may have that now.
    pub(crate) fn could_run(&self, seeker: Seeker<'_>, worker: &Name) -> bool {
        let is_open =
            self.readiness(worker) == Some(Readiness::Ready) && !self.has_unknown_commands(worker);
        is_open
            && self.settings.may_run(worker, seeker.builder)
            && self.unfit(worker, seeker.name).is_none()
            && self.has_enough(&seeker.builder.resources, worker)
    }

    fn has_enough(&self, wanted: &Resources, worker: &Name) -> bool {
        wanted.is_empty() || wanted.lack(&self.resources(worker), &Resources::default()).is_none()
    }

    /// Returns of what a worker has too little left. What was given up and may still run there had
    /// its share: how much is not known any more, so nothing is given away beside it.
    pub(crate) fn lack(&self, wanted: &Resources, worker: &Name) -> Option<Lack> {
        if wanted.is_empty() {
            return None;
        }
        let total = self.resources(worker);
        let taken = match self.kept_places(worker) {
            0 => self.resources_taken(worker),
            _ => total.clone(),
        };
        wanted.lack(&total, &taken)
    }

    fn rank(&self, seeker: Seeker<'_>, worker: &Name, places: u32) -> Rank {
        let (liking, places) = match seeker.builder.placement {
            Placement::LeastLoaded => (0, places),
            Placement::MostLoaded => (u64::from(places), 0),
            Placement::Spread => (self.builds_of(seeker.name, worker), places),
            Placement::StickyByBuilder => (distance(seeker.name.as_str(), worker), 0),
            Placement::StickyByUser => (distance(seeker.owner, worker), 0),
        };
        (liking, Reverse(places), worker.clone())
    }

    fn builds_of(&self, builder: &Name, worker: &Name) -> u64 {
        let builds = self.durable.slots(worker).into_iter().flatten();
        let builds = builds.filter_map(|(_, id)| self.durable.build(*id));
        builds.filter(|build| build.builder == *builder).count() as u64
    }
}

/// Orders workers for a key, each key in its own way and always the same: a worker that goes or
/// comes moves only those keys that had it, or get it. (Rendezvous hashing, by FNV-1a with a last
/// mix.)
fn distance(key: &str, worker: &Name) -> u64 {
    let bytes = key.bytes().chain([0]).chain(worker.as_str().bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
