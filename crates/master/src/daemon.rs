//! Starts the master's parts in order, and stops them in the opposite one.
//!
//! Two families of tasks: the doors (listeners, sessions, sources), through which work comes in,
//! and the heart (the engine's loop and the log keeper). The doors close first, so everything
//! that was let in is still committed.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::Identity;
use engine::settings::Settings;
use owner::{Lock, LockError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock;
use crate::core::{self, Core, CoreError, Parts};
use crate::doors::{DoorError, DoorParts, Doors};
use crate::gate::Descriptors;
use crate::log::{Keeper, SEALS_QUEUE, Shelf, ShelfError};
use crate::reload::{self, Beginning, Queued, Reloader, ReloaderParts, Reloads};
use crate::settings::{Configuration, MasterSection, Reading};
use crate::store::{self, Store, StoreError};
use crate::tasks::Tasks;

/// For the doors to close and for what they let in to be committed. An administrator waits two
/// seconds, the end of the process included.
const LAST_WORK: Duration = Duration::from_millis(1_500);

/// Why the master did not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    #[error("make the data directory {path}")]
    Directory { path: PathBuf, source: io::Error },
    #[error("lock the data directory")]
    Locked(#[from] LockError),
    #[error("open the database")]
    Store(#[from] StoreError),
    #[error("open the folder of logs")]
    Shelf(#[from] ShelfError),
    #[error("draw a random number")]
    Random(#[source] getrandom::Error),
    #[error(transparent)]
    Door(#[from] DoorError),
    #[error("wait for signals")]
    Signals(#[source] io::Error),
    #[error("the engine's loop ended")]
    Core(#[source] CoreError),
    #[error(
        "the engine's loop panicked, which is a bug of this program (its message is above); \
         commands go on, and starting the master again goes on from the last commit"
    )]
    Panicked,
}

/// Runs a master until SIGTERM or SIGINT, or until its database is lost.
pub(crate) async fn run(
    path: PathBuf,
    reading: Reading,
    mut configuration: Configuration,
) -> Result<(), DaemonError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?;
    let hangup = signal(SignalKind::hangup()).map_err(DaemonError::Signals)?;
    let master = configuration.master.clone();
    make_private(&master.data)?;
    let _lock = Lock::acquire(&master.data.join("lock"))?;
    let opening = open(&master, &reading, &mut configuration.engine);
    // A start that is cut off is as one that is killed; the database may keep it waiting for long.
    let (store, identity, beginning, shelf) = tokio::select! {
        opened = opening => opened?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let settings = Arc::new(std::mem::take(&mut configuration.engine));
    let heart = Tasks::default();
    heart.spawn("thread", threads::keep_one(heart.cancel().clone()));
    let family = Tasks::default();
    let (core, mut ended) = start_heart(&heart, &store, &settings, identity, &shelf);
    let parts = ReloaderParts { path, core: core.clone(), beginning };
    let (reloader, reloads) = Reloader::new(parts);
    let descriptors = Descriptors::of_this_process();
    let mut doors = Doors::new(DoorParts {
        master: master.clone(),
        identity,
        store: store.clone(),
        core,
        shelf,
        descriptors,
        reloads: reloads.clone(),
        family: family.clone(),
    });
    let outcome = match doors.open(&configuration, &settings).await {
        Ok(places) => {
            info!(master = %master.name, url = master.url, "ready: {}", places.join(", "));
            family.spawn("reload", reloader.run(doors, family.cancel().clone()));
            family.spawn("hangup", reload_on(hangup, reloads, family.cancel().clone()));
            // All branches are cancel-safe.
            tokio::select! {
                _ = terminate.recv() => Ok(()),
                _ = interrupt.recv() => Ok(()),
                ended = &mut ended => judge(ended),
            }
        }
        Err(error) => {
            drop((doors, reloader));
            Err(error.into())
        }
    };
    info!("stopping; commands go on without this master");
    // Whichever branch wins, nothing else is left to do; what is cut off is as after a kill.
    tokio::select! {
        () = close(store, &family, &heart) => {}
        () = tokio::time::sleep(LAST_WORK) => warn!("some work did not end in time"),
        _ = terminate.recv() => warn!("stopping at once on a second signal"),
        _ = interrupt.recv() => warn!("stopping at once on a second signal"),
    }
    outcome
}

/// Reloads on SIGHUP. Signals that come while one is under way count once.
async fn reload_on(mut hangup: Signal, reloads: Reloads, cancel: CancellationToken) {
    loop {
        // Both branches are cancel-safe.
        tokio::select! {
            Some(()) = hangup.recv() => {}
            () = cancel.cancelled() => return,
        }
        // What came of it is logged where it is done.
        drop(reloads.reload(None, Queued::Drain).await);
    }
}

/// Closes the doors, then commits what they let in, then closes the database.
async fn close(store: Arc<Store>, family: &Tasks, heart: &Tasks) {
    family.shutdown().await;
    heart.shutdown().await;
    if let Some(store) = Arc::into_inner(store) {
        store.close().await;
    }
}

/// Tells a loop that ended from one that panicked, which drops its end of the channel.
fn judge(
    ended: Result<Result<(), CoreError>, oneshot::error::RecvError>,
) -> Result<(), DaemonError> {
    ended.map_err(|_dropped| DaemonError::Panicked)?.map_err(DaemonError::Core)
}

/// Makes a folder that only this user can look into.
fn make_private(path: &Path) -> Result<(), DaemonError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| DaemonError::Directory { path: path.to_owned(), source })
}

/// Opens database and logs, and notes the configuration.
async fn open(
    master: &MasterSection,
    reading: &Reading,
    settings: &mut Settings,
) -> Result<(Arc<Store>, Identity, Beginning, Arc<Shelf>), DaemonError> {
    let (store, identity) = open_store(master).await?;
    let beginning = reload::begin(&store, reading, settings, clock::wall_us()).await?;
    let shelf = Arc::new(Shelf::open(&master.data.join("logs"))?);
    retire_doubled(&store, &shelf).await?;
    Ok((store, identity, beginning, shelf))
}

async fn open_store(master: &MasterSection) -> Result<(Arc<Store>, Identity), DaemonError> {
    let mut incarnation = [0; 8];
    getrandom::fill(&mut incarnation).map_err(DaemonError::Random)?;
    let incarnation = u64::from_le_bytes(incarnation);
    let start = store::Start { incarnation, wall_us: clock::wall_us() };
    let opened = Store::open(&master.state, start).await?;
    Ok((Arc::new(opened.store), opened.identity))
}

/// Removes living logs whose sealed form the database knows.
async fn retire_doubled(store: &Store, shelf: &Shelf) -> Result<(), DaemonError> {
    for command in shelf.doubled()? {
        if store.log_of(command).await?.is_some() {
            shelf.retire(command);
        }
    }
    Ok(())
}

/// Starts the engine's loop and the keeper. The receiver tells of the loop's end.
fn start_heart(
    heart: &Tasks,
    store: &Arc<Store>,
    settings: &Arc<Settings>,
    identity: Identity,
    shelf: &Arc<Shelf>,
) -> (Core, oneshot::Receiver<Result<(), CoreError>>) {
    let (seals, orders) = mpsc::channel(SEALS_QUEUE);
    let parts = Parts { store: store.clone(), settings: settings.clone(), identity, seals };
    let (core, body) = core::run(parts, heart.cancel().clone());
    let ended = heart.spawn_watched("engine", body);
    let keeper = Keeper::new(shelf.clone(), store.clone(), core.clone(), heart.clone());
    heart.spawn("keeper", keeper.run(orders));
    (core, ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_the_loop_is_no_orderly_end() {
        let heart = Tasks::default();
        let well = heart.spawn_watched("engine", async { Ok(()) });
        assert!(judge(well.await).is_ok());
        let unwell = heart.spawn_watched("engine", async { panic!("on purpose") });
        assert!(matches!(judge(unwell.await), Err(DaemonError::Panicked)));
    }
}
