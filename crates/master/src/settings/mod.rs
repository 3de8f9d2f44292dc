//! The checked configuration of a master.
//!
//! Reading never stops at the first problem: `read` returns everything that is wrong, and a
//! configuration only where nothing is. What decides is part of the engine's settings, what
//! touches the world is here.

mod control;
mod decode;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod master;
#[cfg(test)]
mod page_test;
#[cfg(test)]
mod tests;
mod worker_port;

use std::collections::BTreeMap;
use std::path::Path;

use config::{Diagnostic, Name, Node, Severity, SourceFile};
use engine::settings::Settings;

pub(crate) use control::check_socket_path;
pub use control::control_socket;
pub use files::FilesError;
pub use master::MasterSection;
pub use worker_port::WorkerPort;
pub(crate) use worker_port::{TLS, check_loopback, check_token_file};

use crate::change_source::ChangeSource;
use crate::secret_source::SecretSources;

/// Everything a master is told.
#[derive(Debug)]
pub struct Configuration {
    pub master: MasterSection,
    pub worker_port: Option<WorkerPort>,
    pub change_sources: BTreeMap<Name, ChangeSource>,
    pub secrets: SecretSources,
    /// The revision is not known before the configuration is stored.
    pub engine: Settings,
}

/// What came of reading.
#[derive(Debug)]
pub struct Reading {
    pub files: Vec<SourceFile>,
    /// Errors and warnings, in the order of their places.
    pub problems: Vec<Diagnostic>,
    /// Present where there are no errors.
    pub configuration: Option<Configuration>,
    /// What could be read, with the places of all values.
    pub tree: Node,
}

/// Reads the file and the `conf.d/*.toml` beside it.
///
/// # Errors
/// When a file cannot be read at all; problems within the files are in the reading.
pub fn read(path: &Path) -> Result<Reading, FilesError> {
    Ok(check(files::read(path)?))
}

/// Reads a configuration whose files are at hand.
pub fn check(files: Vec<SourceFile>) -> Reading {
    let (tree, problems) = config::parse(&files);
    let (configuration, problems) = decode::decode(&tree, &files, problems);
    let has_errors = problems.iter().any(|problem| problem.severity() == Severity::Error);
    let configuration = configuration.filter(|_| !has_errors);
    Reading { files, problems, configuration, tree }
}

/// Reads the files of a configuration, whatever is in them.
///
/// # Errors
/// When one cannot be read.
pub fn read_files(path: &Path) -> Result<Vec<SourceFile>, FilesError> {
    files::read(path)
}

/// Decodes a tree that was put together; `None` where it has errors.
pub(crate) fn decode_tree(tree: &Node, files: &[SourceFile]) -> Option<Configuration> {
    let (configuration, problems) = decode::decode(tree, files, Vec::new());
    let has_errors = problems.iter().any(|problem| problem.severity() == Severity::Error);
    configuration.filter(|_| !has_errors)
}
