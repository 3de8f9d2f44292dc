//! What the environment says: which master, which token, whether to wait and to speak.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use proto::Bytes;

use crate::exit;
use crate::notice::Complaint;
use crate::socket::Master;

const CHANGE_SOCKET: &str = "/run/yardmaster/change.sock";
/// A token is a short text; a file larger than this is something else.
const MOST_TOKEN_BYTES: usize = 1024;

/// Where the master is, and what it knows us by where the kernel does not say.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) master: Master,
    pub(crate) token: Option<Bytes>,
}

/// How long the caller wants to wait for the start of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Forever,
    /// It leaves the queue after this time.
    AtMost(Duration),
    /// It takes only a start at once.
    None,
    /// It leaves with the id.
    Detach,
}

/// What the caller decided by the environment.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) address: Address,
    pub(crate) patience: Patience,
    pub(crate) is_quiet: bool,
    pub(crate) status_file: Option<PathBuf>,
}

impl Settings {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self, Complaint> {
        let master = variable("CHANGEPORT_MASTER").map(|text| Master::parse(&text));
        Ok(Self {
            address: Address {
                master: master.unwrap_or_else(|| Ok(Master::Unix(CHANGE_SOCKET.into())))?,
                token: variable("CHANGEPORT_TOKEN_FILE").map(token).transpose()?,
            },
            patience: match variable("CHANGEPORT_WAIT") {
                None => Patience::Forever,
                Some(text) => patience(&text)?,
            },
            is_quiet: is_quiet(),
            status_file: status_file(),
        })
    }
}

/// Says whether only errors are to be heard; known even where the rest cannot be read.
pub(crate) fn is_quiet() -> bool {
    variable("CHANGEPORT_QUIET").is_some_and(|value| value != "0")
}

/// Returns where to write how a launch ended; known even where the rest cannot be read.
pub(crate) fn status_file() -> Option<PathBuf> {
    variable("CHANGEPORT_STATUS").map(PathBuf::from)
}

/// An empty variable is as good as none.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn patience(text: &OsStr) -> Result<Patience, Complaint> {
    if text == "yes" {
        return Ok(Patience::Forever);
    }
    if text == "no" {
        return Ok(Patience::None);
    }
    duration(text).map(Patience::AtMost).ok_or_else(|| {
        let what = format!("CHANGEPORT_WAIT is `{}`", text.to_string_lossy());
        Complaint::new(exit::BAD_REQUEST, what, "write no, or a time with its unit such as 10m")
    })
}

/// Reads times such as `90s`, `10m` or `1h30m`.
fn duration(text: &OsStr) -> Option<Duration> {
    let mut rest = text.to_str()?;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        let units = &rest[digits..];
        let end = units.find(|c: char| c.is_ascii_digit()).unwrap_or(units.len());
        let unit_ms: u64 = match &units[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(count.checked_mul(unit_ms)?))?;
        rest = &units[end..];
    }
    Some(total)
}

fn token(path: OsString) -> Result<Bytes, Complaint> {
    let path = PathBuf::from(path);
    let bytes = std::fs::read(&path).map_err(|error| {
        let what = format!("read the token file {}: {error}", path.display());
        Complaint::new(exit::BAD_REQUEST, what, "check CHANGEPORT_TOKEN_FILE")
    })?;
    let token = bytes.trim_ascii();
    if token.is_empty() || token.len() > MOST_TOKEN_BYTES {
        let what = format!("{} holds no token", path.display());
        return Err(Complaint::new(exit::BAD_REQUEST, what, "put the token alone into the file"));
    }
    Ok(token.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_carry_their_unit() {
        let read = |text: &str| duration(OsStr::new(text)).map(|time| time.as_secs());
        assert_eq!(read("90s"), Some(90));
        assert_eq!(read("1h30m"), Some(5_400));
        assert_eq!(read("2d"), Some(172_800));
        for wrong in ["10", "m", "10x", "1m2", "-1s", "99999999999999999999d"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_wait_is_yes_no_or_a_time() {
        let read = |text: &str| patience(OsStr::new(text)).map_err(|complaint| complaint.code);
        assert_eq!(read("no"), Ok(Patience::None));
        assert_eq!(read("yes"), Ok(Patience::Forever));
        assert_eq!(read("250ms"), Ok(Patience::AtMost(Duration::from_millis(250))));
        assert_eq!(read("maybe"), Err(exit::BAD_REQUEST));
    }
}
