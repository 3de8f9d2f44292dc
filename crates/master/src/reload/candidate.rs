//! A configuration that could take the place of the one in force.

use std::collections::BTreeSet;
use std::sync::Arc;

use config::{Difference, Name, Node, SourceFile, differences, is_same};
use engine::row::Revision;
use engine::settings::Settings;

use super::fate::needs_restart;
use super::order::{NotReloaded, Queued};
use super::retained::{self, Retained};
use crate::settings::{Configuration, Reading};
use crate::store::{self, RevisionFile};

/// The configuration in force.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) revision: i64,
    pub(super) tree: Node,
    pub(super) files: Vec<SourceFile>,
    /// What the master started with: of keys that need a restart this is in force.
    pub(super) started: Node,
    pub(super) retained: Vec<Retained>,
}

/// A configuration without errors, beside the one in force.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) tree: Node,
    pub(super) files: Vec<SourceFile>,
    pub(super) configuration: Configuration,
    pub(super) retained: Vec<Retained>,
    pub(super) settings: Arc<Settings>,
    /// What a reload does at once.
    pub(super) hot: Vec<Difference>,
    /// What takes effect when the master starts again.
    pub(super) cold: Vec<Difference>,
    /// What it is going to be called; the present number where it is the present one.
    pub(super) revision: i64,
    /// The present one is not to be touched.
    pub(super) changes_nothing: bool,
}

impl Candidate {
    /// Compares a configuration with the one in force.
    ///
    /// # Errors
    /// When it has errors.
    pub(super) fn new(
        reading: Reading,
        running: &Running,
        queued: Queued,
    ) -> Result<Self, NotReloaded> {
        let Reading { files, problems, configuration, tree } = reading;
        let Some(mut configuration) = configuration else {
            let text = config::render(&problems, &files, config::Style::Plain);
            return Err(NotReloaded::Invalid { text });
        };
        let is_new = !is_same(&running.tree, &tree);
        let revision = running.revision + i64::from(is_new);
        let mut settings = std::mem::take(&mut configuration.engine);
        settings.revision = revision;
        let retained = match queued {
            Queued::Cancel => Vec::new(),
            Queued::Drain => retain(running, &tree, &files, &mut settings),
        };
        let mut hot = differences(&running.tree, &tree);
        hot.retain(|difference| !needs_restart(difference));
        let mut cold = differences(&running.started, &tree);
        cold.retain(needs_restart);
        let names = |retained: &[Retained]| {
            retained.iter().map(|one| one.name.clone()).collect::<BTreeSet<Name>>()
        };
        let changes_nothing = !is_new && names(&retained) == names(&running.retained);
        let settings = Arc::new(settings);
        Ok(Self {
            tree,
            files,
            configuration,
            retained,
            settings,
            hot,
            cold,
            revision,
            changes_nothing,
        })
    }

    /// Returns the row to keep, if it is another configuration than the one in force.
    pub(super) fn row(&self, running: &Running, now_us: i64) -> Option<Revision> {
        let is_new = self.revision != running.revision;
        is_new.then(|| store::revision_of(self.revision, rows(&self.files), now_us))
    }
}

/// Makes what the store keeps of files.
pub(super) fn rows(files: &[SourceFile]) -> Vec<RevisionFile> {
    let row = |file: &SourceFile| RevisionFile {
        path: file.path.as_os_str().as_encoded_bytes().to_vec(),
        text: file.text.clone().into_bytes(),
    };
    files.iter().map(row).collect()
}

/// Keeps the builders that were in force, are gone, and can still run.
fn retain(
    running: &Running,
    tree: &Node,
    files: &[SourceFile],
    settings: &mut Settings,
) -> Vec<Retained> {
    let gone = retained::builders(&running.tree);
    let gone = gone.iter().filter_map(|name| Retained::of(name, &running.tree, &running.files));
    let mut kept: Vec<Retained> = running.retained.iter().cloned().chain(gone).collect();
    kept.retain(|one| {
        !settings.builders.contains_key(&one.name) && one.join(tree, files, settings)
    });
    kept
}
