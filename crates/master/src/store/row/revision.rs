//! Accepted configurations, every file as it was.

use engine::row::{Revision, RevisionFile};
use sha2::{Digest as _, Sha256};

use crate::store::codec::{digest, pack, unpack};
use crate::store::query::{Query, query};
use crate::store::record::{ReadError, Record};
use crate::store::{Store, StoreError};

/// Makes the row of a configuration.
pub fn revision_of(n: i64, files: Vec<RevisionFile>, loaded_us: i64) -> Revision {
    Revision { n, sha256: fingerprint(&files), files, loaded_us }
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

pub(super) fn put(row: &Revision) -> Query<'_> {
    query!(
        "INSERT INTO revision (n, sha256, files, loaded_us) VALUES ($1, $2, $3, $4)",
        row.n,
        row.sha256.as_slice(),
        pack(&row.files),
        row.loaded_us
    )
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
    /// Keeps an accepted configuration, before the engine starts with it. Called by one task at a
    /// time; a running engine writes its own.
    ///
    /// # Errors
    /// When nothing was written; it can be tried again.
    pub async fn revision_put(&self, revision: &Revision) -> Result<(), StoreError> {
        self.write("keep the configuration", vec![put(revision)]).await
    }

    /// Returns the configuration that was accepted last.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn revision_newest(&self) -> Result<Option<Revision>, StoreError> {
        let query = query!(
            "SELECT n, sha256, files, loaded_us FROM revision \
             WHERE n = (SELECT max(n) FROM revision)"
        );
        self.ask_one("read the newest configuration", query, read).await
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
