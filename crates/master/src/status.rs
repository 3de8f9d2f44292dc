//! How the change sources fare, for `master status`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use proto::message::question::SourceLine;

/// The last word of each change source. Written by the sources, read by whoever asks.
#[derive(Debug, Clone, Default)]
pub struct SourceBoard {
    lines: Arc<Mutex<BTreeMap<String, SourceLine>>>,
}

impl SourceBoard {
    /// Replaces a source's line.
    pub fn set(&self, line: SourceLine) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.insert(line.name.clone(), line);
    }

    /// Removes the line of a source that is no more.
    pub fn remove(&self, name: &str) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Returns all lines by name.
    pub fn lines(&self) -> Vec<SourceLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
