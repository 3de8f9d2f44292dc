//! Which variables go to the master. The master lets through only what the app allows.

use std::os::unix::ffi::OsStringExt as _;

use proto::message::command::Variable;

const NAMES: &[&[u8]] =
    &[b"DISPLAY", b"XAUTHORITY", b"LANG", b"LANGUAGE", b"TERM", b"TZ", b"COLORTERM", b"NO_COLOR"];
const PREFIX: &[u8] = b"LC_";
/// More names, separated by commas.
const MORE: &str = "CHANGEPORT_ENV";

/// Returns the variables of this process that a master may want.
pub(crate) fn offered() -> Vec<Variable> {
    let more = std::env::var_os(MORE).unwrap_or_default().into_vec();
    let is_offered = |name: &[u8]| {
        NAMES.contains(&name)
            || name.starts_with(PREFIX)
            || more.split(|byte| *byte == b',').any(|wanted| wanted.trim_ascii() == name)
    };
    std::env::vars_os()
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .filter(|(name, _)| is_offered(name))
        .map(|(name, value)| Variable { name: name.into(), value: value.into() })
        .collect()
}
