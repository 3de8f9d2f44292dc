//! Where the values of secrets come from, one kind a file.
//!
//! A value is read each time a command needs it, and nothing keeps it. To add a kind: its file with
//! a struct and its `KIND`, a variant of `SecretSource`, an arm in `read`, and a line in `KINDS`.
//!
//! **Invariant**: no error has a part of a value in it.

mod command;
mod credential;
mod file;
mod guarded;
mod value;

use std::collections::BTreeMap;

use config::{Code, Context, Decode, Diagnostic, Entry, Fields, Name, Node};
use secret::Secret;

use command::CommandSource;
use credential::CredentialSource;
use file::FileSource;

/// The secrets of a configuration, by their names.
pub type SecretSources = BTreeMap<Name, SecretSource>;

/// `[secret.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    File(FileSource),
    Credential(CredentialSource),
    Command(CommandSource),
}

/// Why there is no value, as the end of a sentence.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(transparent)]
    Guarded(#[from] guarded::GuardedError),
    #[error(transparent)]
    Value(#[from] value::BadValue),
    #[error(transparent)]
    Credential(#[from] credential::CredentialError),
    #[error(transparent)]
    Command(#[from] command::CommandError),
    #[error("the thread that read it has ended")]
    Thread(#[from] tokio::task::JoinError),
}

/// A kind of source: its key, and how it is read.
struct Kind {
    key: &'static str,
    decode: fn(&Entry, &mut Context<'_>) -> Option<SecretSource>,
}

const KINDS: &[Kind] = &[file::KIND, credential::KIND, command::KIND];

impl SecretSource {
    /// Reads the value as it is now.
    ///
    /// # Errors
    /// When it cannot be read, others could read it, or it is no value of a secret.
    pub async fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::File(file) => file.read().await,
            Self::Credential(credential) => credential.read().await,
            Self::Command(command) => command.read().await,
        }
    }
}

impl Decode for SecretSource {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?;
        let found: Vec<(&Kind, &Entry)> =
            KINDS.iter().filter_map(|kind| Some((kind, fields.entry(kind.key)?))).collect();
        let source = match found.as_slice() {
            [(kind, entry)] => (kind.decode)(entry, cx),
            [] => {
                let words: Vec<&str> = KINDS.iter().map(|kind| kind.key).collect();
                let message = "nothing says where the secret is";
                let problem = Diagnostic::new(Code::MissingKey, fields.span(), message);
                cx.report(problem.help(format!("a secret has one of: {}", words.join(", "))));
                None
            }
            [(_, first), (_, second), ..] => {
                let message = "a secret comes from one place";
                let problem = Diagnostic::new(Code::Duplicate, second.key_span, message);
                cx.report(problem.also(first.key_span, "it already comes from here"));
                None
            }
        };
        fields.finish(cx);
        source
    }
}
