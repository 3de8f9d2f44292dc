//! Change sources: where changes come from, one kind a file.
//!
//! A kind reads its table here and runs as a task of its own. To add one: its file with a struct
//! and its `KIND`, a variant of `ChangeSource`, and a line in `KINDS`.

mod changeport;
pub mod git_poll;

use config::{Context, Kind, Name, Node, Spanned};
use engine::reference;
use engine::step::Repository;

pub use changeport::Changeport;
pub use git_poll::GitPoll;

/// One change source of the configuration.
#[derive(Debug, Clone)]
pub enum ChangeSource {
    Changeport(Changeport),
    GitPoll(GitPoll),
}

const KINDS: &[Kind<ChangeSource>] = &[changeport::KIND, git_poll::KIND];
const LATER: &[&str] = &["registry_poll", "webhook", "file_watch", "timer"];

impl ChangeSource {
    /// Reads the table of a change source.
    pub(crate) fn decode(name: &Name, node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let source = config::by_type(node, KINDS, LATER, cx);
        if !matches!(source, Some(Self::Changeport(_))) {
            let name = Spanned { value: name.clone(), span: node.span };
            cx.define(reference::REPOSITORY, name);
        }
        source
    }

    /// Returns the repository it reads, for git steps that name the source.
    pub(crate) fn repository(&self) -> Option<Repository> {
        match self {
            Self::Changeport(_) => None,
            Self::GitPoll(git) => Some(git.as_repository()),
        }
    }
}
