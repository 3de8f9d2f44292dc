//! The id of a command as the spool knows it.

use std::fmt;

/// 128 bits; 32 hexadecimal digits as a directory name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u128);

impl CommandId {
    /// Reads a directory name; `None` for names that are not ours.
    pub fn from_name(name: &str) -> Option<Self> {
        let is_ours = name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
        is_ours.then(|| u128::from_str_radix(name, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
