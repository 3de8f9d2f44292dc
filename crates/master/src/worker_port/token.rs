//! The token file: which secret names which worker.
//!
//! Lines `NAME SHA256`, the hash of the token in hexadecimal; `#` begins a comment. The name
//! follows from the token, never from what a worker says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::Name;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Why a token file was refused.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    #[error("read token file {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "token file {path}, line {line}: write `NAME SHA256`, as `master token NAME` prints it"
    )]
    Line { path: PathBuf, line: usize },
}

/// The known tokens, as hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenFile {
    tokens: Arc<[(Name, [u8; 32])]>,
}

impl TokenFile {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read or a line is malformed.
    pub fn read(path: &Path) -> Result<Self, TokenFileError> {
        let text = fs::read_to_string(path)
            .map_err(|source| TokenFileError::Read { path: path.to_owned(), source })?;
        let mut tokens = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let token = parse(line)
                .ok_or_else(|| TokenFileError::Line { path: path.to_owned(), line: number })?;
            tokens.push(token);
        }
        Ok(Self { tokens: tokens.into() })
    }

    /// Returns the name a token stands for. Takes the same time whichever it is.
    pub fn name_of(&self, token: &[u8]) -> Option<&Name> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for (name, known) in self.tokens.iter() {
            if bool::from(known.ct_eq(&hash)) {
                found = Some(name);
            }
        }
        found
    }
}

fn parse(line: &str) -> Option<(Name, [u8; 32])> {
    let (name, digits) = line.split_once(char::is_whitespace)?;
    let digits = digits.trim();
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    Some((Name::parse(name).ok()?, hash))
}
