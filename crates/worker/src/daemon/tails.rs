//! How far every log is, for those who send them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use attempt::CommandId;

/// How far one log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Length as last heard; the file may be longer.
    pub bytes: u64,
    /// Length of the whole log, once the command has ended.
    pub end: Option<u64>,
}

/// The logs of all commands that are not yet forgotten.
pub(crate) type Tails = BTreeMap<CommandId, Tail>;

/// Returns the length of the output in a spool directory, torn records included.
pub(super) fn output_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let output = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"out."));
    output.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
}
