//! A value that is never shown, and is wiped when nobody needs it any more.
//!
//! Wiped is what this type holds. What a library or the kernel copied on the way is beyond it, so
//! this makes a leak rarer, not impossible.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

pub use zeroize::Zeroizing;

/// Fewest bytes of a value: shorter ones would be found everywhere in an output.
pub const LEAST_BYTES: usize = 6;
/// Most bytes of a value.
pub const MOST_BYTES: usize = 64 * 1024;
/// Most bytes of all values of one command together.
pub const MOST_BYTES_TOGETHER: usize = 128 * 1024;

/// The value of a secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(#[serde(with = "serde_bytes")] Vec<u8>);

impl Secret {
    /// Takes the value over.
    pub fn new(value: Vec<u8>) -> Self {
        Self(value)
    }

    /// Returns the value itself. Whoever asks keeps it from being seen.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_words_nor_numbers_of_a_value_are_shown() {
        let secret = Secret::new(b"hunter2!".to_vec());
        for shown in [format!("{secret:?}"), format!("{secret}"), format!("{:#?}", Some(&secret))] {
            assert!(!shown.contains("hunter") && !shown.contains("104"), "{shown}");
        }
        assert_eq!(secret.expose(), b"hunter2!");
    }
}
