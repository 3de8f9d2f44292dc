//! How far a polling change source has read.

use std::collections::BTreeMap;

use config::Name;

use crate::table::Row;

/// The heads a source saw when its last changes were committed, by branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHeads {
    pub source: Name,
    pub heads: BTreeMap<String, String>,
}

impl Row for SourceHeads {
    type Key = Name;

    fn key(&self) -> Name {
        self.source.clone()
    }

    fn is_alive(&self) -> bool {
        true
    }
}
