//! One builder's queue: keys in the order of service, and the place of each.
//!
//! A place is found without counting everybody ahead: the line is kept in pieces, and only whole
//! pieces are added up. With 100,000 waiting these are about 200.

use crate::durable::QueueKey;

/// A piece that grows to this is cut into halves.
const MOST_IN_A_PIECE: usize = 1_024;

/// The line. Equal lines hold the same keys, however they are cut.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    /// Sorted, and none is empty.
    pieces: Vec<Vec<QueueKey>>,
}

impl Line {
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &QueueKey> {
        self.pieces.iter().flatten()
    }

    pub(crate) fn first(&self) -> Option<QueueKey> {
        self.pieces.first()?.first().copied()
    }

    /// Adds a key, once.
    pub(crate) fn insert(&mut self, key: QueueKey) {
        if self.pieces.is_empty() {
            self.pieces.push(Vec::new());
        }
        // What comes after all others belongs to the last piece.
        let at = self.piece_of(&key).min(self.pieces.len() - 1);
        let piece = &mut self.pieces[at];
        let Err(place) = piece.binary_search(&key) else { return };
        piece.insert(place, key);
        if piece.len() >= MOST_IN_A_PIECE {
            let rest = piece.split_off(MOST_IN_A_PIECE / 2);
            self.pieces.insert(at + 1, rest);
        }
    }

    pub(crate) fn remove(&mut self, key: &QueueKey) {
        let at = self.piece_of(key);
        let Some(piece) = self.pieces.get_mut(at) else { return };
        let Ok(place) = piece.binary_search(key) else { return };
        piece.remove(place);
        if piece.is_empty() {
            self.pieces.remove(at);
        }
    }

    /// Returns how many are served before the key, if it is in the line.
    pub(crate) fn ahead_of(&self, key: &QueueKey) -> Option<usize> {
        let at = self.piece_of(key);
        let place = self.pieces.get(at)?.binary_search(key).ok()?;
        Some(self.pieces[..at].iter().map(Vec::len).sum::<usize>() + place)
    }

    /// Returns the piece that holds the key, if one does.
    fn piece_of(&self, key: &QueueKey) -> usize {
        self.pieces.partition_point(|piece| piece.last().is_some_and(|last| last < key))
    }
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::id::RequestId;

    fn key(priority: i32, id: i64) -> QueueKey {
        (Reverse(priority), RequestId(id))
    }

    fn check(line: &Line, model: &BTreeSet<QueueKey>) {
        assert!(line.iter().eq(model.iter()));
        assert_eq!((line.is_empty(), line.first()), (model.is_empty(), model.first().copied()));
        assert!(line.pieces.iter().all(|piece| !piece.is_empty() && piece.len() < MOST_IN_A_PIECE));
        for (ahead, key) in model.iter().enumerate() {
            assert_eq!(line.ahead_of(key), Some(ahead));
        }
    }

    proptest! {
        #[test]
        fn a_line_is_a_set_that_knows_places(
            steps in proptest::collection::vec((any::<bool>(), 0..3i32, 0..40i64), 0..200),
        ) {
            let (mut line, mut model) = (Line::default(), BTreeSet::new());
            for (is_new, priority, id) in steps {
                let key = key(priority, id);
                if is_new {
                    line.insert(key);
                    model.insert(key);
                } else {
                    line.remove(&key);
                    model.remove(&key);
                    prop_assert_eq!(line.ahead_of(&key), None);
                }
                check(&line, &model);
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_and_grows_together_again() {
        let (mut line, mut model) = (Line::default(), BTreeSet::new());
        // Numbers in no order: 7,919 has no factor in common with 10,000.
        for n in 0..10_000 {
            let key = key(0, n * 7_919 % 10_000);
            line.insert(key);
            model.insert(key);
        }
        check(&line, &model);
        assert!(line.pieces.len() > 9);
        for n in 0..9_990 {
            let key = key(0, n * 3_571 % 10_000);
            line.remove(&key);
            model.remove(&key);
        }
        check(&line, &model);
        assert_eq!(
            line,
            model.iter().copied().fold(Line::default(), |mut line, key| {
                line.insert(key);
                line
            })
        );
    }
}
