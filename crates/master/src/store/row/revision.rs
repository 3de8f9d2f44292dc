//! Accepted configurations, every file as it was.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::store::codec::{digest, pack, unpack};
use crate::store::query::query;
use crate::store::record::{ReadError, Record};
use crate::store::{Store, StoreError};

/// One file of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionFile {
    /// As it was named, exact bytes.
    #[serde(with = "serde_bytes")]
    pub path: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub text: Vec<u8>,
}

/// An accepted configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    pub n: i64,
    pub sha256: [u8; 32],
    pub files: Vec<RevisionFile>,
    /// µs since 1970.
    pub loaded_us: i64,
}

/// The fingerprint of a configuration: paths and texts, each behind its length.
fn fingerprint(files: &[RevisionFile]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in files.iter().flat_map(|file| [&file.path, &file.text]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn number_and_sha256(record: &Record) -> Result<(i64, [u8; 32]), ReadError> {
    Ok((record.int("n")?, digest("sha256", &record.bytes("sha256")?)?))
}

fn read(record: &Record) -> Result<Revision, ReadError> {
    Ok(Revision {
        n: record.int("n")?,
        sha256: digest("sha256", &record.bytes("sha256")?)?,
        files: unpack("files", &record.bytes("files")?)?,
        loaded_us: record.int("loaded_us")?,
    })
}

impl Store {
    /// Keeps an accepted configuration and returns its number: the newest one's if nothing
    /// changed, else the next. Called by one task at a time.
    ///
    /// # Errors
    /// When nothing was written; it can be tried again.
    pub async fn revision_put(
        &self,
        files: &[RevisionFile],
        loaded_us: i64,
    ) -> Result<i64, StoreError> {
        let sha256 = fingerprint(files);
        let newest =
            query!("SELECT n, sha256 FROM revision WHERE n = (SELECT max(n) FROM revision)");
        let newest =
            self.ask_one("read the newest configuration", newest, number_and_sha256).await?;
        let n = match newest {
            Some((n, newest)) if newest == sha256 => return Ok(n),
            Some((n, _)) => n + 1,
            None => 1,
        };
        let insert = query!(
            "INSERT INTO revision (n, sha256, files, loaded_us) VALUES ($1, $2, $3, $4)",
            n,
            sha256.as_slice(),
            pack(files),
            loaded_us
        );
        self.write("keep the configuration", vec![insert]).await?;
        Ok(n)
    }

    /// Returns a configuration that was accepted once.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn revision_get(&self, n: i64) -> Result<Option<Revision>, StoreError> {
        let query = query!("SELECT n, sha256, files, loaded_us FROM revision WHERE n = $1", n);
        self.ask_one("read a configuration", query, read).await
    }
}
