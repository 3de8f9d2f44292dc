//! The key `state` of the configuration: where the database is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;

/// Where the database is.
#[derive(Clone)]
pub enum StateUrl {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

/// The text is not the address of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadStateUrl {
    #[error(
        "`{scheme}` is no database; use `sqlite:/path/state.db` or `postgres:///name?host=/run/postgresql`"
    )]
    Scheme { scheme: String },
    #[error("the path of the SQLite database is missing; write `sqlite:/path/state.db`")]
    Path,
    #[error("the address of the PostgreSQL database is not understood: {why}")]
    Postgres { why: String },
}

impl StateUrl {
    /// Reads `sqlite:PATH`, `sqlite:///PATH` or `postgres://…`; a relative path starts at `base`.
    ///
    /// # Errors
    /// When it is none of them. The message never holds a password.
    pub fn parse(text: &str, base: &Path) -> Result<Self, BadStateUrl> {
        match text.split_once(':') {
            Some(("sqlite", rest)) => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() || path.ends_with('/') {
                    return Err(BadStateUrl::Path);
                }
                Ok(Self::Sqlite(base.join(path).components().collect()))
            }
            Some(("postgres" | "postgresql", _)) => PgConnectOptions::from_str(text)
                .map(|options| Self::Postgres(Box::new(options)))
                .map_err(|why| BadStateUrl::Postgres { why: why.to_string() }),
            scheme => {
                let scheme = scheme.map_or(text, |(scheme, _)| scheme).to_owned();
                Err(BadStateUrl::Scheme { scheme })
            }
        }
    }
}

/// Shows the address without secrets.
impl fmt::Display for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(options) => {
                let database = options.get_database().unwrap_or(options.get_username());
                match options.get_socket() {
                    Some(socket) => write!(f, "postgres:///{database}?host={}", socket.display()),
                    None => write!(
                        f,
                        "postgres://{}:{}/{database}",
                        options.get_host(),
                        options.get_port()
                    ),
                }
            }
        }
    }
}

impl fmt::Debug for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, BadStateUrl> {
        StateUrl::parse(text, Path::new("/etc/yardmaster")).map(|url| url.to_string())
    }

    #[test]
    fn addresses_are_read_and_shown_without_the_password() {
        assert_eq!(shown("sqlite:/var/x.db"), Ok("sqlite:/var/x.db".to_owned()));
        assert_eq!(shown("sqlite:///var/x.db"), Ok("sqlite:/var/x.db".to_owned()));
        assert_eq!(shown("sqlite:x.db"), Ok("sqlite:/etc/yardmaster/x.db".to_owned()));
        assert_eq!(shown("sqlite:./a/./x.db"), Ok("sqlite:/etc/yardmaster/a/x.db".to_owned()));
        let socket = "postgres:///yard?host=/run/postgresql";
        assert_eq!(shown(socket), Ok(socket.to_owned()));
        assert_eq!(
            shown("postgresql://me:secret@db.example/yard"),
            Ok("postgres://db.example:5432/yard".to_owned())
        );
    }

    #[test]
    fn other_addresses_are_refused_with_what_to_write() {
        assert_eq!(shown("sqlite:"), Err(BadStateUrl::Path));
        assert_eq!(shown("sqlite:/var/lib/"), Err(BadStateUrl::Path));
        assert_eq!(shown("mysql://x"), Err(BadStateUrl::Scheme { scheme: "mysql".to_owned() }));
        assert_eq!(shown(""), Err(BadStateUrl::Scheme { scheme: String::new() }));
        let message = shown("postgres://me:sec ret@:x:/").unwrap_err().to_string();
        assert!(!message.contains("sec ret"), "{message}");
    }
}
