//! What the environment says: which master, which token, whether to wait and to speak.

use std::ffi::OsStr;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use proto::Bytes;
use proto::message::launch::Wait;

use crate::exit;
use crate::notice::Complaint;

const CHANGE_SOCKET: &str = "/run/yardmaster/change.sock";
/// A token is a short text; a file larger than this is something else.
const MOST_TOKEN_BYTES: usize = 1024;

/// Where the master is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Master {
    Unix(PathBuf),
    /// `HOST:PORT`, looked up at each connection.
    Tcp(String),
}

/// What the caller decided by the environment.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) master: Master,
    pub(crate) token: Option<Bytes>,
    pub(crate) wait: Wait,
    pub(crate) is_quiet: bool,
    pub(crate) status_file: Option<PathBuf>,
}

impl Settings {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self, Complaint> {
        let wait = match std::env::var_os("CHANGEPORT_WAIT") {
            None => Wait::Follow,
            Some(word) if word.is_empty() || word == "yes" => Wait::Follow,
            Some(word) if word == "no" => Wait::StartNow,
            Some(word) => {
                let what = format!("CHANGEPORT_WAIT is `{}`", word.to_string_lossy());
                return Err(Complaint::new(exit::BAD_REQUEST, what, "use yes or no"));
            }
        };
        Ok(Self {
            master: Master::from_environment()?,
            token: token()?,
            wait,
            is_quiet: is_set("CHANGEPORT_QUIET"),
            status_file: std::env::var_os("CHANGEPORT_STATUS").map(PathBuf::from),
        })
    }
}

impl Master {
    fn from_environment() -> Result<Self, Complaint> {
        match std::env::var_os("CHANGEPORT_MASTER") {
            None => Ok(Self::Unix(PathBuf::from(CHANGE_SOCKET))),
            Some(text) => Self::parse(&text),
        }
    }

    /// Reads `unix:PATH` or `tcp:HOST:PORT`.
    pub(crate) fn parse(text: &OsStr) -> Result<Self, Complaint> {
        let bytes = text.as_encoded_bytes();
        if let Some(path) = bytes.strip_prefix(b"unix:") {
            use std::os::unix::ffi::OsStrExt as _;
            return Ok(Self::Unix(PathBuf::from(OsStr::from_bytes(path))));
        }
        let text = text.to_string_lossy();
        let address = text.strip_prefix("tcp:").unwrap_or(&text);
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self::Tcp(address.to_owned()))
            }
            Some(_) | None => {
                let what = format!("`{text}` is not the address of a master");
                Err(Complaint::new(exit::BAD_REQUEST, what, "write unix:/PATH or HOST:PORT"))
            }
        }
    }

    /// Returns the addresses a TCP master has.
    pub(crate) fn addresses(host: &str) -> std::io::Result<Vec<SocketAddr>> {
        Ok(host.to_socket_addrs()?.collect())
    }
}

impl std::fmt::Display for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

fn token() -> Result<Option<Bytes>, Complaint> {
    let Some(path) = std::env::var_os("CHANGEPORT_TOKEN_FILE").map(PathBuf::from) else {
        return Ok(None);
    };
    let bytes = std::fs::read(&path).map_err(|error| {
        let what = format!("read the token file {}: {error}", path.display());
        Complaint::new(exit::BAD_REQUEST, what, "check CHANGEPORT_TOKEN_FILE")
    })?;
    let token = bytes.trim_ascii();
    if token.is_empty() || token.len() > MOST_TOKEN_BYTES {
        let what = format!("{} holds no token", path.display());
        return Err(Complaint::new(exit::BAD_REQUEST, what, "`master token NAME` draws one"));
    }
    Ok(Some(token.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let parse = |text: &str| Master::parse(OsStr::new(text)).ok();
        assert_eq!(parse("unix:/run/x.sock"), Some(Master::Unix("/run/x.sock".into())));
        assert_eq!(parse("tcp:ci:9999"), Some(Master::Tcp("ci:9999".into())));
        assert_eq!(parse("[::1]:9999"), Some(Master::Tcp("[::1]:9999".into())));
        assert_eq!(parse("/run/x.sock"), None);
        assert_eq!(parse("ci"), None);
    }
}
