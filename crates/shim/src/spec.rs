//! What to run: the `spec` file.

use serde::{Deserialize, Serialize};

use crate::group::GroupOrder;
use crate::left::LeftFile;

/// A command with everything its supervisor needs when both daemons are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Program and arguments. A program without `/` is looked up in the `PATH` of `env`.
    #[serde(with = "byte_lists")]
    pub argv: Vec<Vec<u8>>,
    /// The whole environment, as `NAME=VALUE`.
    #[serde(with = "byte_lists")]
    pub env: Vec<Vec<u8>>,
    #[serde(with = "serde_bytes")]
    pub cwd: Vec<u8>,
    pub stdin: Stdin,
    /// For the whole run.
    pub timeout_ms: Option<u64>,
    /// For a command that says nothing.
    pub silence_timeout_ms: Option<u64>,
    /// Between the signal of a timeout and the kill of the tree.
    pub kill_grace_ms: u64,
    /// Absent: all output is kept.
    pub output_cap: Option<OutputCap>,
    /// Absent: there are no control groups here.
    #[serde(default)]
    pub group: Option<GroupOrder>,
    /// Said at the beginning of the log: what of an order is not kept here.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Absent: the command was not asked to leave anything.
    #[serde(default)]
    pub left: Option<LeftFile>,
    /// Some of its variables are not kept here, and without them it must not run.
    #[serde(default)]
    pub has_secrets: bool,
}

/// How much output is kept: its beginning and its end; what is between is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputCap {
    pub head_bytes: u64,
    pub tail_bytes: u64,
}

/// Where the command's standard input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdin {
    /// `/dev/null`.
    Null,
    /// What arrives by `Request::Stdin`.
    Pipe,
}

pub(crate) const MAGIC: &[u8; 4] = b"YMs1";

impl Spec {
    pub(crate) fn to_file(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        seal(*MAGIC, &rmp_serde::to_vec_named(self)?)
    }

    /// Reads a file; `None` where it is torn or not a spec.
    pub(crate) fn from_file(bytes: &[u8]) -> Option<Self> {
        read_body(unseal(*MAGIC, bytes)?)
    }
}

/// Puts a magic word and a checksum before a body, so that a torn file is recognised.
pub(crate) fn seal(magic: [u8; 4], body: &[u8]) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut file = magic.to_vec();
    file.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    file.extend_from_slice(body);
    Ok(file)
}

/// Takes the body out of a sealed file.
pub(crate) fn unseal(magic: [u8; 4], file: &[u8]) -> Option<&[u8]> {
    let body = file.get(8..)?;
    let sum = crc32c::crc32c(body).to_le_bytes();
    (file[..4] == magic && file[4..8] == sum).then_some(body)
}

/// Deeper than any body of ours. The decoder recurses, so what a damaged disk nests must end before
/// the stack does.
const DEPTH: usize = 16;

/// Reads a body; `None` where it is something else.
pub(crate) fn read_body<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    let mut decoder = rmp_serde::Deserializer::from_read_ref(body);
    decoder.set_max_depth(DEPTH);
    T::deserialize(&mut decoder).ok()
}

/// Lists of byte strings as MessagePack `bin`.
mod byte_lists {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use serde_bytes::{ByteBuf, Bytes};

    pub(super) fn serialize<S: Serializer>(list: &[Vec<u8>], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(|bytes| Bytes::new(bytes)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        Ok(Vec::<ByteBuf>::deserialize(from)?.into_iter().map(ByteBuf::into_vec).collect())
    }
}
