//! Another configuration while everything runs.

use std::sync::Arc;

use attempt::CommandId;
use attempt::master::State;
use engine::row::{RequestState, Revision};
use engine::settings::Settings;
use engine::{Event, Foresight, RequestName, Touched, Write};

use super::World;
use crate::yard::{LICENCE, named};
use crate::{variation, yard};

impl World {
    /// Reloads with a configuration that the seed draws.
    pub(super) fn reconfigure(&mut self) {
        let mut settings = variation::draw(&mut self.rng);
        if self.rng.permille(700) {
            variation::retire(&mut settings, &self.settings);
        }
        self.reconfigure_as(settings);
    }

    /// Reloads with the configuration of the beginning.
    pub(super) fn reconfigure_back(&mut self) {
        let mut settings = yard::settings();
        variation::retire(&mut settings, &self.settings);
        self.reconfigure_as(settings);
    }

    fn reconfigure_as(&mut self, settings: Settings) {
        let n = self.revisions.last_key_value().map_or(0, |(n, _)| *n) + 1;
        let settings = Arc::new(Settings { revision: n, ..settings });
        self.revisions.insert(n, settings.clone());
        let revision = Revision { n, sha256: [0; 32], files: Vec::new(), loaded_us: 0 };
        let foreseen = self.engine.foresee(self.now, settings.clone());
        self.check_foreseen(&foreseen, settings.clone());
        // Nobody among the clients waits for this answer.
        let ticket = engine::Ticket(u64::MAX);
        self.take(vec![Event::Reconfigured { ticket, settings, revision: Some(revision) }]);
    }

    /// What is foreseen happens, and nothing of what runs is touched.
    fn check_foreseen(&self, foreseen: &Foresight, settings: Arc<Settings>) {
        let mut trial = self.engine.clone();
        let ticket = engine::Ticket(0);
        let event = Event::Reconfigured { ticket, settings, revision: None };
        let decision = trial.handle(self.now, event);
        let (mut cancelled, mut started) = (Vec::new(), Vec::new());
        for write in &decision.writes {
            match write {
                Write::Build(row) => {
                    let known = self.database.builds.get(&row.id);
                    assert_eq!(known, None, "a running build was touched");
                }
                Write::Command(row) => {
                    let known = self.database.commands.get(&row.id());
                    assert_eq!(known, None, "a command was touched");
                }
                Write::Request(row) => match row.state {
                    RequestState::Waiting | RequestState::Merged { .. } => {}
                    RequestState::Running { .. } => started.push(row.name.clone()),
                    RequestState::Done { .. } => cancelled.push(row.name.clone()),
                },
                Write::Counter(_)
                | Write::Change(_)
                | Write::SourceHeads(_)
                | Write::Pending(_)
                | Write::SubmissionKey(_)
                | Write::Revision(_) => {}
            }
        }
        assert_eq!(names(&foreseen.cancelled), cancelled, "who is cancelled");
        assert_eq!(names(&foreseen.started), started, "who starts");
    }

    /// Notes a command that nobody waits for any more: its worker is no longer configured.
    pub(super) fn note_written_off(&mut self, command: CommandId) {
        let row = self.database.commands.get(&command);
        let is_open = |state: &State| matches!(state, State::GivenUp | State::LogGivenUp { .. });
        if row.is_some_and(|row| is_open(&row.half.state)) {
            self.written_off.insert(command);
        }
    }

    /// Takes the configuration that was committed.
    pub(super) fn adopt_settings(&mut self) {
        self.settings = self.revisions[&self.database.revision].clone();
    }

    /// What the configuration in force means for what waits has happened.
    pub(super) fn check_settled(&self) {
        let (durable, settings) = (self.engine.durable(), self.engine.settings());
        let mut waiting = durable.requests().filter(|row| row.state == RequestState::Waiting);
        let lost = waiting.find(|row| !settings.builders.contains_key(&row.builder));
        assert_eq!(lost, None, "nobody is ever going to serve it");
        for worker in self.machines.keys() {
            let is_attached = self.engine.attached(worker).is_some();
            assert!(!is_attached || self.engine.expects(worker), "{worker} was not sent away");
        }
    }

    /// A worker that gets another build has a place for it.
    pub(super) fn check_granted(&self, write: &Write) {
        let Write::Build(row) = write else { return };
        if row.end.is_some() || self.database.builds.contains_key(&row.id) {
            return;
        }
        let builds = self.engine.durable().builds().filter(|build| build.worker == row.worker);
        let taken = builds.count() + self.engine.kept_places(&row.worker) as usize;
        let capacity = self.engine.attached(&row.worker).map_or(0, |(_, capacity)| capacity);
        assert!(taken <= capacity as usize, "{} has {taken} of {capacity}", row.worker);
        let max = self.engine.settings().locks[&named(LICENCE)].max;
        if !row.plan.locks.is_empty() {
            assert!(self.licences_held() <= max, "more of the licence is held than {max}");
        }
    }
}

fn names(touched: &[Touched]) -> Vec<RequestName> {
    touched.iter().map(|touched| touched.request.clone()).collect()
}
