//! A change: something happened that a builder may want to know.

use std::collections::BTreeMap;

use config::{Name, Value};
use serde::{Deserialize, Serialize};

use crate::id::ChangeId;
use crate::table::Row;

/// How the principals of sources begin; those of clients never do.
const SOURCE: &str = "source:";

/// A change from any source, with Buildbot's attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub id: ChangeId,
    pub source: Name,
    /// Who submitted it, such as `unix:host:1000`, or the source itself.
    pub principal: String,
    pub category: Option<String>,
    pub branch: Option<String>,
    pub revision: Option<String>,
    pub repository: String,
    pub project: String,
    pub codebase: String,
    /// Exact bytes; what git or the client gave.
    pub author: Vec<u8>,
    pub comments: Vec<u8>,
    pub files: Vec<Vec<u8>>,
    pub properties: BTreeMap<String, Value>,
    /// When it happened, µs since 1970.
    pub when_us: i64,
    pub accepted_us: i64,
    /// Present where the change is the call of an app.
    pub launch: Option<Launch>,
    /// Requests that have not ended and timers that hold it.
    pub holders: i64,
}

/// The call of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    pub app: Name,
    #[serde(with = "crate::row::change::byte_lists")]
    pub args: Vec<Vec<u8>>,
    /// Already reduced to what the app allows.
    #[serde(with = "crate::row::change::byte_pairs")]
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    #[serde(with = "serde_bytes")]
    pub cwd: Vec<u8>,
    /// The client's host name, as it says.
    pub host: String,
    pub user: User,
}

/// Who called, as the kernel or a token says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub home: String,
}

impl Change {
    /// Returns the principal of a source that finds changes by itself.
    pub(crate) fn found_by(source: &Name) -> String {
        format!("{SOURCE}{source}")
    }

    /// Returns the client who submitted it, if one did.
    pub(crate) fn sender(&self) -> Option<&str> {
        let is_found = self.principal.starts_with(SOURCE);
        (!is_found).then_some(self.principal.as_str())
    }
}

impl Row for Change {
    type Key = ChangeId;

    fn key(&self) -> ChangeId {
        self.id
    }

    fn is_alive(&self) -> bool {
        self.holders > 0
    }
}

/// Lists of byte strings as MessagePack `bin`.
pub(crate) mod byte_lists {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use serde_bytes::{ByteBuf, Bytes};

    pub(crate) fn serialize<S: Serializer>(list: &[Vec<u8>], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(|bytes| Bytes::new(bytes)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        Ok(Vec::<ByteBuf>::deserialize(from)?.into_iter().map(ByteBuf::into_vec).collect())
    }
}

/// Pairs of byte strings as MessagePack `bin`.
pub(crate) mod byte_pairs {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use serde_bytes::{ByteBuf, Bytes};

    type Pair = (Vec<u8>, Vec<u8>);

    pub(crate) fn serialize<S: Serializer>(list: &[Pair], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(|(name, value)| (Bytes::new(name), Bytes::new(value))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Pair>, D::Error> {
        let pairs = Vec::<(ByteBuf, ByteBuf)>::deserialize(from)?;
        Ok(pairs.into_iter().map(|(name, value)| (name.into_vec(), value.into_vec())).collect())
    }
}
