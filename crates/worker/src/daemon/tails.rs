//! How far every log is, for those who send them.

use std::collections::BTreeMap;

use attempt::CommandId;
use shim::SpoolRoot;

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

/// Returns how far a running command's log may be read, torn records included. Where the disk does
/// not say, its supervisor's next word does.
pub(super) fn live_bytes(spool: &SpoolRoot, id: shim::CommandId) -> u64 {
    spool.output(id).live_bytes().unwrap_or(0)
}
