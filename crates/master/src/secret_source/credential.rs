//! `credential = "name"`: what systemd hands to the service by `LoadCredential=` and its like.

use std::path::{Path, PathBuf};

use config::{Context, Decode as _, Entry, Name};
use secret::Secret;

use super::{Kind, SecretError, SecretSource, guarded};

/// The variable by which systemd says where credentials are.
const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A credential of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialSource {
    name: Name,
}

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error(
        "the master was started without credentials; give its service `LoadCredential={name}:PATH`"
    )]
    None { name: Name },
}

pub(super) const KIND: Kind = Kind { key: "credential", decode };

fn decode(entry: &Entry, cx: &mut Context<'_>) -> Option<SecretSource> {
    // A name has no `/`. Who checks a configuration is not the service, so nothing is looked for.
    let name = Name::decode(&entry.value, cx)?;
    Some(SecretSource::Credential(CredentialSource { name }))
}

impl CredentialSource {
    fn path(&self) -> Result<PathBuf, CredentialError> {
        let directory = std::env::var_os(DIRECTORY);
        let none = || CredentialError::None { name: self.name.clone() };
        Ok(Path::new(&directory.ok_or_else(none)?).join(self.name.as_str()))
    }

    pub(super) async fn read(&self) -> Result<Secret, SecretError> {
        let path = self.path()?;
        threads::blocking(move || guarded::read(&path)).await?
    }
}
