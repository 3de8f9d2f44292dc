//! The processes that fork supervisors: two, so that one that is slow or gone stops nothing.

use std::path::PathBuf;

use shim::{Created, EventChannel, SpawnError, Spawner};
use tracing::warn;

/// The spawners, used in turn.
#[derive(Debug)]
pub(crate) struct Spawners {
    program: PathBuf,
    spawners: Vec<Spawner>,
    next: usize,
}

impl Spawners {
    pub(super) const COUNT: usize = 2;

    /// Starts them. To be called before the process has threads.
    ///
    /// # Errors
    /// When the program cannot be executed.
    pub(crate) fn start(program: PathBuf) -> Result<Self, SpawnError> {
        let spawners =
            (0..Self::COUNT).map(|_| Spawner::start(&program)).collect::<Result<_, _>>()?;
        Ok(Self { program, spawners, next: 0 })
    }

    /// Hands a command to the next spawner. One that is gone is replaced, for the next command.
    ///
    /// # Errors
    /// When the command was not handed over; it provably did not run.
    pub(super) fn spawn(&mut self, created: Created) -> Result<EventChannel, SpawnError> {
        let at = self.next % self.spawners.len();
        self.next = at + 1;
        let spawned = self.spawners[at].spawn(created);
        if let Err(SpawnError::Hand { .. }) = &spawned {
            match Spawner::start(&self.program) {
                Ok(spawner) => self.spawners[at] = spawner,
                Err(error) => warn!("replace a spawner that is gone: {error}"),
            }
        }
        spawned
    }
}
