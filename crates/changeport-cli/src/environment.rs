//! Which variables go to the master: those that apps usually want, and what it asks for.
//!
//! Invariant: a variable that no pattern covers does not leave this process. The master lets
//! through only what the app allows.

use std::os::unix::ffi::OsStringExt as _;

use proto::Bytes;
use proto::message::command::Variable;
use proto::message::launch::Launch;

/// What is sent without being asked for, so that the usual launch costs one round trip.
const USUAL: [&str; 9] =
    ["DISPLAY", "XAUTHORITY", "LANG", "LANGUAGE", "LC_*", "TERM", "TZ", "COLORTERM", "NO_COLOR"];
/// More of them, separated by commas.
const MORE: &str = "CHANGEPORT_ENV";

/// Returns the patterns by which variables are chosen at first.
pub(crate) fn usual() -> Vec<Bytes> {
    let more = std::env::var_os(MORE).unwrap_or_default().into_vec();
    let more = more.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let more = more.filter(|pattern| !pattern.is_empty());
    USUAL.iter().map(|pattern| pattern.as_bytes()).chain(more).map(Bytes::from).collect()
}

/// Puts all variables of this process into a launch that its patterns cover.
pub(crate) fn fill(launch: &mut Launch) {
    let variables = std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec()));
    launch.env = variables
        .filter(|(name, _)| is_name(name))
        .filter(|(name, _)| launch.offered.iter().any(|pattern| covers(pattern.as_ref(), name)))
        .map(|(name, value)| Variable { name: name.into(), value: value.into() })
        .collect();
}

/// Nothing can be passed on by a name with an equals sign, which a process may have.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b'=')
}

/// A pattern is a name, or how names begin and a star.
fn covers(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}
