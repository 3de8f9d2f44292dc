//! A table of the durable state: rows by key, which remembers what was touched.
//!
//! There is no way to change a row without marking it, so a change that is not written cannot
//! be expressed. A row that is no longer alive is written one last time and then lives only in
//! the database.

use std::collections::{BTreeMap, BTreeSet};

/// One kind of durable entity.
pub(crate) trait Row: Clone + PartialEq + std::fmt::Debug {
    type Key: Ord + Clone + std::fmt::Debug;

    fn key(&self) -> Self::Key;

    /// Whether the engine still needs it. A row that is not alive leaves the engine's memory.
    fn is_alive(&self) -> bool;
}

/// The living rows of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Table<R: Row> {
    rows: BTreeMap<R::Key, R>,
    touched: BTreeSet<R::Key>,
}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), touched: BTreeSet::new() }
    }
}

/// Two tables are equal if their rows are; what was touched is not state.
impl<R: Row> PartialEq for Table<R> {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl<R: Row> Table<R> {
    /// Builds a table from stored rows.
    pub(crate) fn restore(rows: impl IntoIterator<Item = R>) -> Self {
        let rows = rows.into_iter().map(|row| (row.key(), row)).collect();
        Self { rows, touched: BTreeSet::new() }
    }

    pub(crate) fn get(&self, key: &R::Key) -> Option<&R> {
        self.rows.get(key)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &R> {
        self.rows.values()
    }

    /// Returns a row for changing; it will be written.
    pub(crate) fn edit(&mut self, key: &R::Key) -> Option<&mut R> {
        let row = self.rows.get_mut(key)?;
        self.touched.insert(key.clone());
        Some(row)
    }

    /// Adds or replaces a row; it will be written.
    pub(crate) fn put(&mut self, row: R) {
        self.touched.insert(row.key());
        self.rows.insert(row.key(), row);
    }

    /// Hands out the rows touched since the last call, and lets go of the dead ones.
    pub(crate) fn drain(&mut self) -> Vec<R> {
        let touched = std::mem::take(&mut self.touched);
        touched.iter().filter_map(|key| self.take_or_copy(key)).collect()
    }

    fn take_or_copy(&mut self, key: &R::Key) -> Option<R> {
        if self.rows.get(key)?.is_alive() {
            return self.rows.get(key).cloned();
        }
        self.rows.remove(key)
    }
}
