//! The secrets of a command on their way to its supervisor: a file in memory that has no name.
//!
//! They are never in a spool. The file is handed over with the command, in one message, and is read
//! once: without it a command that needs it does not run.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, memfd_create};
use secret::{Secret, Zeroizing};
use serde::{Deserialize, Serialize};

use crate::spec::read_body;

/// More than any command has, in bytes.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// What a command gets and its output must not show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    pub values: Vec<Value>,
    /// Variables in which they stand, as `NAME=VALUE`.
    pub env: Vec<Secret>,
}

/// A value, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    pub name: String,
    pub value: Secret,
}

impl Secrets {
    pub(crate) fn to_memory(&self) -> io::Result<OwnedFd> {
        let bytes = Zeroizing::new(rmp_serde::to_vec_named(self).map_err(io::Error::other)?);
        let mut file = File::from(memfd_create("secrets", MemfdFlags::CLOEXEC)?);
        file.write_all(&bytes)?;
        file.rewind()?;
        Ok(file.into())
    }

    pub(crate) fn from_memory(file: OwnedFd) -> io::Result<Self> {
        let mut bytes = Zeroizing::new(Vec::new());
        File::from(file).take(MOST_BYTES).read_to_end(&mut bytes)?;
        read_body(&bytes).ok_or_else(|| io::Error::other("they are damaged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_the_same() {
        let value = |name: &str| Value {
            name: name.to_owned(),
            value: Secret::new(vec![0xff; secret::MOST_BYTES]),
        };
        let secrets =
            Secrets { values: vec![value("a"), value("b")], env: vec![Secret::new(b"A=b".into())] };
        assert_eq!(Secrets::from_memory(secrets.to_memory().unwrap()).unwrap(), secrets);
        let torn = File::from(memfd_create("torn", MemfdFlags::CLOEXEC).unwrap());
        assert!(Secrets::from_memory(torn.into()).is_err());
    }
}
