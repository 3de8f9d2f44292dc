//! Starts the master's parts in order, and stops them in the opposite one.
//!
//! Two families of tasks: the doors (listeners, sessions, sources), through which work comes in,
//! and the heart (the engine's loop and the log keeper). The doors close first, so everything
//! that was let in is still committed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use config::{Name, SourceFile};
use engine::Identity;
use engine::settings::Settings;
use owner::{Lock, LockError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::change_source::git_poll::{Poller, PollerParts};
use crate::change_source::{ChangeSource, Changeport};
use crate::client::{self, Address, Callers, Door, Users};
use crate::clock;
use crate::core::{self, Core, CoreError, Parts};
use crate::gate::{Descriptors, Throttle};
use crate::log::{Keeper, SEALS_QUEUE, Shelf, ShelfError};
use crate::settings::{Configuration, MasterSection, WorkerPort};
use crate::status::SourceBoard;
use crate::store::{self, RevisionFile, Store, StoreError};
use crate::tasks::Tasks;
use crate::worker_port::{self, TokenFile, TokenFileError};

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
    #[error("listen on {address} for {whom}; is another master running, or the address not ours?")]
    Listen { address: String, whom: &'static str, source: io::Error },
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
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
    configuration: Configuration,
    files: Vec<SourceFile>,
) -> Result<(), DaemonError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(DaemonError::Signals)?;
    let Configuration { master, worker_port, change_sources, mut engine } = configuration;
    make_private(&master.data)?;
    let _lock = Lock::acquire(&master.data.join("lock"))?;
    let opening = open(&master, &files);
    // A start that is cut off is as one that is killed; the database may keep it waiting for long.
    let (store, identity, revision, shelf) = tokio::select! {
        opened = opening => opened?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    engine.revision = revision;
    let settings = Arc::new(engine);
    let heart = Tasks::default();
    heart.spawn("thread", threads::keep_one(heart.cancel().clone()));
    let doors = Tasks::default();
    let (core, mut ended) = start_heart(&heart, &store, &settings, identity, &shelf);
    let (board, users) = (SourceBoard::default(), Users::default());
    let descriptors = Descriptors::of_this_process();
    let callers = Callers::of_process();
    let yard =
        Yard { master, settings, identity, store, core, shelf, board, users, descriptors, callers };
    let opened = yard.open_doors(&doors, worker_port, &change_sources).await;
    let outcome = match opened {
        Ok(places) => {
            let url = yard.master.url.as_deref();
            info!(master = %yard.master.name, url, "ready: {}", places.join(", "));
            loop {
                // All branches are cancel-safe.
                tokio::select! {
                    _ = terminate.recv() => break Ok(()),
                    _ = interrupt.recv() => break Ok(()),
                    Some(()) = hangup.recv() => warn!(
                        "SIGHUP: reload is not in this version; restart the master to read its \
                         configuration anew, commands go on meanwhile"
                    ),
                    ended = &mut ended => break judge(ended),
                }
            }
        }
        Err(error) => Err(error),
    };
    info!("stopping; commands go on without this master");
    // Whichever branch wins, nothing else is left to do; what is cut off is as after a kill.
    tokio::select! {
        () = close(yard, &doors, &heart) => {}
        () = tokio::time::sleep(LAST_WORK) => warn!("some work did not end in time"),
        _ = terminate.recv() => warn!("stopping at once on a second signal"),
        _ = interrupt.recv() => warn!("stopping at once on a second signal"),
    }
    outcome
}

/// Closes the doors, then commits what they let in, then closes the database.
async fn close(yard: Yard, doors: &Tasks, heart: &Tasks) {
    doors.shutdown().await;
    heart.shutdown().await;
    let Yard { store, core, shelf, .. } = yard;
    drop((core, shelf));
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
    files: &[SourceFile],
) -> Result<(Arc<Store>, Identity, i64, Arc<Shelf>), DaemonError> {
    let (store, identity) = open_store(master).await?;
    let revision = keep_revision(&store, files).await?;
    let shelf = Arc::new(Shelf::open(&master.data.join("logs"))?);
    retire_doubled(&store, &shelf).await?;
    Ok((store, identity, revision, shelf))
}

async fn open_store(master: &MasterSection) -> Result<(Arc<Store>, Identity), DaemonError> {
    let mut incarnation = [0; 8];
    getrandom::fill(&mut incarnation).map_err(DaemonError::Random)?;
    let incarnation = u64::from_le_bytes(incarnation);
    let start = store::Start { incarnation, wall_us: clock::wall_us() };
    let opened = Store::open(&master.state, start).await?;
    Ok((Arc::new(opened.store), opened.identity))
}

async fn keep_revision(store: &Store, files: &[SourceFile]) -> Result<i64, StoreError> {
    let file = |file: &SourceFile| RevisionFile {
        path: file.path.as_os_str().as_encoded_bytes().to_vec(),
        text: file.text.clone().into_bytes(),
    };
    let files: Vec<RevisionFile> = files.iter().map(file).collect();
    store.revision_put(&files, clock::wall_us()).await
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

/// What the doors have in common.
struct Yard {
    master: MasterSection,
    settings: Arc<Settings>,
    identity: Identity,
    store: Arc<Store>,
    core: Core,
    shelf: Arc<Shelf>,
    board: SourceBoard,
    users: Users,
    descriptors: Descriptors,
    callers: Callers,
}

impl Yard {
    /// Opens every door and returns where they are, for people and for whoever started us.
    async fn open_doors(
        &self,
        doors: &Tasks,
        worker_port: Option<WorkerPort>,
        sources: &BTreeMap<Name, ChangeSource>,
    ) -> Result<Vec<String>, DaemonError> {
        let mut places = Vec::new();
        if let Some(port) = worker_port {
            places.push(self.open_worker_port(doors, port).await?);
        }
        for (name, source) in sources {
            match source {
                ChangeSource::Changeport(port) => {
                    places.extend(self.open_changeport(doors, name, port).await?);
                }
                ChangeSource::GitPoll(git) => {
                    let parts = PollerParts {
                        core: self.core.clone(),
                        board: self.board.clone(),
                        mirrors: self.master.data.join("mirrors"),
                    };
                    let poller = Poller::new(name.clone(), git.clone(), parts);
                    doors.spawn("git_poll", poller.run(doors.cancel().clone()));
                }
            }
        }
        let control = Address::Unix(self.master.control.clone());
        places.push(self.listen(doors, &control, Door::Control, TokenFile::default()).await?);
        Ok(places)
    }

    async fn open_worker_port(
        &self,
        doors: &Tasks,
        port: WorkerPort,
    ) -> Result<String, DaemonError> {
        let parts = worker_port::ListenerParts {
            master: self.master.name.to_string(),
            epoch: self.identity.epoch,
            tokens: TokenFile::read(&port.token_file)?,
            settings: self.settings.clone(),
            core: self.core.clone(),
            shelf: self.shelf.clone(),
            sessions: AtomicI64::new(1),
            misconduct: Throttle::default(),
        };
        let whom = "workers";
        let failed =
            |source| DaemonError::Listen { address: port.listen.to_string(), whom, source };
        let share = self.descriptors.whole();
        let listener =
            worker_port::Listener::bind(port.listen, parts, share).await.map_err(failed)?;
        let address = listener.address().map_err(failed)?;
        doors.spawn("worker port", listener.run(doors.clone()));
        Ok(format!("workers {address}"))
    }

    async fn open_changeport(
        &self,
        doors: &Tasks,
        name: &Name,
        port: &Changeport,
    ) -> Result<Vec<String>, DaemonError> {
        let tokens = match &port.token_file {
            Some(path) => TokenFile::read(path)?,
            None => TokenFile::default(),
        };
        let mut places = Vec::new();
        for address in &port.listen {
            let door = Door::Change {
                source: name.clone(),
                peercred: port.peercred,
                token: port.token,
                insecure_userns: port.insecure_userns,
            };
            places.push(self.listen(doors, address, door, tokens.clone()).await?);
        }
        let (kind, detail) = ("changeport".to_owned(), places.join(", "));
        self.board.set(proto::message::question::SourceLine {
            name: name.to_string(),
            kind,
            is_well: true,
            detail,
        });
        Ok(places)
    }

    async fn listen(
        &self,
        doors: &Tasks,
        address: &Address,
        door: Door,
        tokens: TokenFile,
    ) -> Result<String, DaemonError> {
        let (whom, share) = match door {
            Door::Control => ("administrators", self.descriptors.whole()),
            Door::Change { .. } => ("clients", self.descriptors.of_clients()),
        };
        let parts = client::ListenerParts {
            master: self.master.name.to_string(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            epoch: self.identity.epoch,
            revision: self.settings.revision,
            started_us: clock::wall_us(),
            core: self.core.clone(),
            store: self.store.clone(),
            shelf: self.shelf.clone(),
            sources: self.board.clone(),
            tokens,
            users: self.users.clone(),
            callers: self.callers.clone(),
        };
        let listener = client::Listener::bind(address, door, Arc::new(parts), share)
            .await
            .map_err(|source| DaemonError::Listen { address: address.to_string(), whom, source })?;
        let place = format!("{whom} {}", listener.address());
        doors.spawn("client listener", listener.run(doors.clone()));
        Ok(place)
    }
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
