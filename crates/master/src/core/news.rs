//! Tells people in the log when builds start and end.

use std::collections::BTreeSet;

use engine::BuildId;
use engine::row::{Build, Write};
use tracing::info;

/// The builds that were told to have started.
#[derive(Debug, Default)]
pub(super) struct News {
    running: BTreeSet<BuildId>,
}

impl News {
    /// Begins with builds that run already, of which an earlier master told.
    pub(super) fn of<'a>(builds: impl Iterator<Item = &'a Build>) -> Self {
        Self { running: builds.map(|build| build.id).collect() }
    }

    /// Tells what is new in writes that are committed.
    pub(super) fn tell(&mut self, writes: &[Write]) {
        for write in writes {
            if let Write::Build(build) = write {
                self.tell_of(build);
            }
        }
    }

    fn tell_of(&mut self, build: &Build) {
        let (name, worker) = (&build.name, &build.worker);
        let is_known = self.running.contains(&build.id);
        if !is_known {
            self.running.insert(build.id);
            info!(build.id = %name, worker.name = %worker, "build {name} started on {worker}");
        }
        if let Some((result, ended_us)) = build.end {
            self.running.remove(&build.id);
            let took_ms = (ended_us - build.started_us) / 1_000;
            let result = result.word();
            info!(build.id = %name, worker.name = %worker, took_ms, "build {name} ended: {result}");
        }
    }
}
