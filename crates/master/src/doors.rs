//! The doors: listeners, sessions and sources, through which work comes in.
//!
//! A reload opens, closes and changes them one by one. What is as it was is not touched: not its
//! socket, not its connections, not its turn to poll. A port that is closed takes nobody any more,
//! and whoever is in stays.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use config::Name;
use engine::Identity;
use engine::settings::Settings;
use proto::message::question::SourceLine;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::change_source::git_poll::{GitPoll, Poller, PollerParts};
use crate::change_source::{ChangeSource, Changeport};
use crate::client::{self, Address, Callers, Door, Users};
use crate::clock;
use crate::core::Core;
use crate::gate::{Descriptors, Throttle};
use crate::log::Shelf;
use crate::reload::Reloads;
use crate::secret_source::SecretSources;
use crate::settings::{Configuration, MasterSection, WorkerPort};
use crate::status::SourceBoard;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::worker_port::{self, TokenFile, TokenFileError, WorkerAdmission};

/// Why a door does not open.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    #[error("listen on {address} for {whom}; is another master running, or the address not ours?")]
    Listen { address: String, whom: &'static str, source: io::Error },
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
}

/// What the doors have in common.
#[derive(Debug)]
pub struct DoorParts {
    pub master: MasterSection,
    pub identity: Identity,
    pub store: Arc<Store>,
    pub core: Core,
    pub shelf: Arc<Shelf>,
    pub descriptors: Descriptors,
    pub reloads: Reloads,
    pub family: Tasks,
}

/// The doors that are open.
#[derive(Debug)]
pub struct Doors {
    parts: DoorParts,
    board: SourceBoard,
    users: Users,
    callers: Callers,
    started_us: i64,
    workers: Option<watch::Sender<WorkerAdmission>>,
    ports: Vec<OpenPort>,
    pollers: BTreeMap<Name, OpenPoller>,
}

/// An address of a change port.
#[derive(Debug)]
struct OpenPort {
    address: Address,
    /// As the system has it, for people.
    place: String,
    door: watch::Sender<Door>,
    close: CancellationToken,
}

#[derive(Debug)]
struct OpenPoller {
    source: GitPoll,
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

/// Everything that another configuration needs and that can fail, done.
#[derive(Debug)]
pub struct Ready {
    /// The addresses of the change ports, with sockets for those that are new.
    ports: Vec<ReadyPort>,
    pollers: BTreeMap<Name, GitPoll>,
    worker_tokens: Option<TokenFile>,
    secrets: Arc<SecretSources>,
}

#[derive(Debug)]
struct ReadyPort {
    address: Address,
    door: Door,
    socket: Option<(client::Listener, watch::Sender<Door>)>,
}

impl Ready {
    /// Lets go of the sockets.
    pub fn discard(self) {
        for (socket, _) in self.ports.into_iter().filter_map(|port| port.socket) {
            socket.discard();
        }
    }
}

impl Doors {
    pub fn new(parts: DoorParts) -> Self {
        Self {
            parts,
            board: SourceBoard::default(),
            users: Users::default(),
            callers: Callers::of_process(),
            started_us: clock::wall_us(),
            workers: None,
            ports: Vec::new(),
            pollers: BTreeMap::new(),
        }
    }

    /// Opens every door and returns where they are, for people and for whoever started us.
    ///
    /// # Errors
    /// When one does not open.
    pub async fn open(
        &mut self,
        configuration: &Configuration,
        settings: &Arc<Settings>,
    ) -> Result<Vec<String>, DoorError> {
        let mut places = Vec::new();
        if let Some(port) = &configuration.worker_port {
            places.push(self.open_worker_port(port, settings, &configuration.secrets).await?);
        }
        let ready = self.prepare(configuration).await?;
        self.switch(ready, settings).await;
        places.extend(self.ports.iter().map(|port| port.place.clone()));
        places.push(self.open_control().await?);
        Ok(places)
    }

    /// Does all that a configuration needs and that can fail.
    ///
    /// # Errors
    /// When a door does not open; nothing has changed then.
    pub async fn prepare(&self, configuration: &Configuration) -> Result<Ready, DoorError> {
        let mut ready = Ready {
            ports: Vec::new(),
            pollers: BTreeMap::new(),
            worker_tokens: None,
            secrets: Arc::new(configuration.secrets.clone()),
        };
        if let (Some(port), Some(_)) = (&configuration.worker_port, &self.workers) {
            ready.worker_tokens = Some(TokenFile::read(&port.token_file)?);
        }
        for (name, source) in &configuration.change_sources {
            match source {
                ChangeSource::GitPoll(git) => {
                    ready.pollers.insert(name.clone(), git.clone());
                }
                ChangeSource::Changeport(port) => {
                    if let Err(error) = self.prepare_port(name, port, &mut ready.ports).await {
                        ready.discard();
                        return Err(error);
                    }
                }
            }
        }
        Ok(ready)
    }

    async fn prepare_port(
        &self,
        name: &Name,
        port: &Changeport,
        ready: &mut Vec<ReadyPort>,
    ) -> Result<(), DoorError> {
        let tokens = match &port.token_file {
            Some(path) => TokenFile::read(path)?,
            None => TokenFile::default(),
        };
        for address in &port.listen {
            let door = Door::Change {
                source: name.clone(),
                peercred: port.peercred,
                token: port.token,
                tokens: tokens.clone(),
                insecure_userns: port.insecure_userns,
            };
            let is_open = self.ports.iter().any(|open| open.address == *address);
            let socket = match is_open {
                true => None,
                false => Some(self.bind(address, door.clone()).await?),
            };
            ready.push(ReadyPort { address: address.clone(), door, socket });
        }
        Ok(())
    }

    /// Makes secrets known that are new in another configuration: its builds may begin before the
    /// doors are switched. Nobody names them if it is not taken.
    pub fn announce(&self, ready: &Ready) {
        let Some(workers) = &self.workers else { return };
        workers.send_modify(|admission| {
            let mut secrets = (*ready.secrets).clone();
            secrets.extend((*admission.secrets).clone());
            admission.secrets = Arc::new(secrets);
        });
    }

    /// Makes the doors those of another configuration. Nothing of it can fail.
    pub async fn switch(&mut self, ready: Ready, settings: &Arc<Settings>) {
        if let Some(workers) = &self.workers {
            workers.send_modify(|admission| {
                admission.settings = settings.clone();
                admission.secrets = ready.secrets.clone();
                if let Some(tokens) = ready.worker_tokens {
                    admission.tokens = tokens;
                }
            });
        }
        self.switch_ports(ready.ports);
        self.switch_pollers(ready.pollers).await;
    }

    fn switch_ports(&mut self, ready: Vec<ReadyPort>) {
        let wanted: Vec<Address> = ready.iter().map(|port| port.address.clone()).collect();
        for gone in self.ports.extract_if(.., |open| !wanted.contains(&open.address)) {
            info!("{} is closed", gone.place);
            gone.close.cancel();
            self.board.remove(source_of(&gone.door.borrow()).as_str());
        }
        for port in ready {
            match port.socket {
                Some((socket, door)) => self.open_port(port.address, socket, door),
                None => self.change_port(&port),
            }
        }
        self.tell_ports();
    }

    fn open_port(&mut self, address: Address, socket: client::Listener, door: watch::Sender<Door>) {
        let place = format!("clients {}", socket.address());
        let close = self.parts.family.cancel().child_token();
        let family = self.parts.family.clone();
        self.parts.family.spawn("client listener", socket.run(family, close.clone()));
        self.ports.push(OpenPort { address, place, door, close });
    }

    fn change_port(&self, port: &ReadyPort) {
        let mut open = self.ports.iter().filter(|open| open.address == port.address);
        let Some(open) = open.next() else { return };
        open.door.send_if_modified(|door| {
            let is_other = *door != port.door;
            if is_other {
                self.board.remove(source_of(door).as_str());
                *door = port.door.clone();
            }
            is_other
        });
    }

    /// Says where the change ports are.
    fn tell_ports(&self) {
        let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for port in &self.ports {
            places.entry(source_of(&port.door.borrow())).or_default().push(&port.place);
        }
        for (name, places) in places {
            let (kind, detail) = ("changeport".to_owned(), places.join(", "));
            self.board.set(SourceLine { name, kind, is_well: true, detail });
        }
    }

    async fn switch_pollers(&mut self, wanted: BTreeMap<Name, GitPoll>) {
        let is_other = |name: &Name, open: &OpenPoller| wanted.get(name) != Some(&open.source);
        let stopped: Vec<_> =
            self.pollers.extract_if(.., |name, open| is_other(name, open)).collect();
        for (name, poller) in stopped {
            poller.stop.cancel();
            // Two in one mirror would be in each other's way.
            if poller.ended.await.is_err() {
                tracing::debug!("the poller of {name} had ended badly");
            }
            self.board.remove(name.as_str());
        }
        for (name, source) in wanted {
            if !self.pollers.contains_key(&name) {
                self.open_poller(name, source);
            }
        }
    }

    fn open_poller(&mut self, name: Name, source: GitPoll) {
        let parts = PollerParts {
            core: self.parts.core.clone(),
            board: self.board.clone(),
            mirrors: self.parts.master.data.join("mirrors"),
        };
        let stop = self.parts.family.cancel().child_token();
        let poller = Poller::new(name.clone(), source.clone(), parts);
        let ended = self.parts.family.spawn_watched("git_poll", poller.run(stop.clone()));
        self.pollers.insert(name, OpenPoller { source, stop, ended });
    }

    async fn open_worker_port(
        &mut self,
        port: &WorkerPort,
        settings: &Arc<Settings>,
        secrets: &SecretSources,
    ) -> Result<String, DoorError> {
        let tokens = TokenFile::read(&port.token_file)?;
        let (sender, admission) = watch::channel(WorkerAdmission {
            tokens,
            settings: settings.clone(),
            secrets: Arc::new(secrets.clone()),
        });
        let parts = worker_port::ListenerParts {
            master: self.parts.master.name.to_string(),
            epoch: self.parts.identity.epoch,
            admission,
            core: self.parts.core.clone(),
            shelf: self.parts.shelf.clone(),
            sessions: AtomicI64::new(1),
            misconduct: Throttle::default(),
        };
        let whom = "workers";
        let failed = |source| DoorError::Listen { address: port.listen.to_string(), whom, source };
        let share = self.parts.descriptors.whole();
        let listener =
            worker_port::Listener::bind(port.listen, parts, share).await.map_err(failed)?;
        let address = listener.address().map_err(failed)?;
        self.workers = Some(sender);
        self.parts.family.spawn("worker port", listener.run(self.parts.family.clone()));
        Ok(format!("workers {address}"))
    }

    async fn open_control(&self) -> Result<String, DoorError> {
        let address = Address::Unix(self.parts.master.control.clone());
        // It is what it is until the end: its sender may go.
        let (listener, _door) = self.bind(&address, Door::Control).await?;
        let place = format!("administrators {}", listener.address());
        let (family, close) = (self.parts.family.clone(), self.parts.family.cancel().clone());
        self.parts.family.spawn("client listener", listener.run(family, close));
        Ok(place)
    }

    async fn bind(
        &self,
        address: &Address,
        door: Door,
    ) -> Result<(client::Listener, watch::Sender<Door>), DoorError> {
        let (whom, share) = match door {
            Door::Control => ("administrators", self.parts.descriptors.whole()),
            Door::Change { .. } => ("clients", self.parts.descriptors.of_clients()),
        };
        let parts = client::ListenerParts {
            master: self.parts.master.name.to_string(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            epoch: self.parts.identity.epoch,
            started_us: self.started_us,
            core: self.parts.core.clone(),
            store: self.parts.store.clone(),
            shelf: self.parts.shelf.clone(),
            sources: self.board.clone(),
            users: self.users.clone(),
            callers: self.callers.clone(),
            reloads: self.parts.reloads.clone(),
        };
        let (sender, door) = watch::channel(door);
        let listener = client::Listener::bind(address, door, Arc::new(parts), share)
            .await
            .map_err(|source| DoorError::Listen { address: address.to_string(), whom, source })?;
        Ok((listener, sender))
    }
}

fn source_of(door: &Door) -> String {
    match door {
        Door::Change { source, .. } => source.to_string(),
        Door::Control => String::new(),
    }
}
