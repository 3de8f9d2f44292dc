//! The sockets on which clients call.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::Name;
use futures_util::FutureExt as _;
use proto::limits;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::callers::Callers;
use super::identity::{self, Principal, Who};
use super::session::{self, Caller, Way};
use super::socket_file::SocketFile;
use super::users::Users;
use crate::core::Core;
use crate::gate::{Gate, HasDescriptor, Share, Source};
use crate::log::Shelf;
use crate::reload::Reloads;
use crate::status::SourceBoard;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::worker_port::TokenFile;

/// After so many probes without an answer a peer was silent for `SILENCE_MS`.
const UNANSWERED: u32 = 2;

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

/// Which door a client came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// A change source; submissions enter by its name.
    Change { source: Name, peercred: bool, token: bool, tokens: TokenFile, insecure_userns: bool },
    /// The administrator's socket.
    Control,
}

impl Door {
    /// Returns who comes through it, for people.
    fn whom(&self) -> &'static str {
        match self {
            Self::Change { .. } => "client",
            Self::Control => "administrator",
        }
    }

    /// Returns who may connect, as the mode of a socket's file.
    fn mode(&self) -> u32 {
        match self {
            Self::Change { .. } => 0o666,
            Self::Control => 0o600,
        }
    }
}

/// What every session needs.
#[derive(Debug)]
pub struct ListenerParts {
    pub master: String,
    pub host: String,
    pub epoch: i64,
    pub started_us: i64,
    pub core: Core,
    pub store: Arc<Store>,
    pub shelf: Arc<Shelf>,
    pub sources: SourceBoard,
    pub users: Users,
    pub callers: Callers,
    pub reloads: Reloads,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixListener, SocketFile),
    Tcp(TcpListener),
}

/// One bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// A reload changes it for those who come then.
    door: watch::Receiver<Door>,
    parts: Arc<ListenerParts>,
    gate: Gate,
}

impl Listener {
    /// Binds an address. A Unix socket left by a master that was killed is replaced.
    ///
    /// # Errors
    /// When the address is taken or cannot be made.
    pub async fn bind(
        address: &Address,
        door: watch::Receiver<Door>,
        parts: Arc<ListenerParts>,
        share: Share,
    ) -> io::Result<Self> {
        let (whom, mode) = (door.borrow().whom(), door.borrow().mode());
        let socket = match address {
            Address::Tcp(address) => Socket::Tcp(TcpListener::bind(address).await?),
            Address::Unix(path) => {
                let (socket, file) = SocketFile::bind(path, mode).await?;
                Socket::Unix(socket, file)
            }
        };
        Ok(Self { socket, gate: Gate::new(whom, share), door, parts })
    }

    /// Returns the address for people; with the port the system chose.
    pub fn address(&self) -> String {
        match &self.socket {
            Socket::Unix(_, file) => format!("unix:{}", file.path().display()),
            Socket::Tcp(socket) => socket
                .local_addr()
                .map_or_else(|_gone| "tcp:?".to_owned(), |address| address.to_string()),
        }
    }

    /// Accepts until it is closed, then removes its socket file. Those who came in stay, as long as
    /// the family of tasks does.
    pub async fn run(mut self, tasks: Tasks, closed: CancellationToken) {
        loop {
            // Both branches are cancel-safe.
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = closed.cancelled() => break,
            };
            match accepted {
                Ok(arrival) => self.welcome(&tasks, arrival),
                Err(error) => {
                    let accept = || self.socket.accept().now_or_never().is_some_and(|a| a.is_ok());
                    self.gate.accept_failed(error, accept).await;
                }
            }
        }
        self.discard();
    }

    /// Closes a socket at which nobody was let in.
    pub fn discard(self) {
        if let Socket::Unix(_, file) = &self.socket
            && let Err(error) = file.remove()
        {
            info!("remove {}: {error}", file.path().display());
        }
    }

    fn welcome(&self, tasks: &Tasks, arrival: Arrival) {
        match arrival {
            Arrival::Unix(client) => {
                let caller = self.unix_caller(&client);
                // One that the kernel knows nothing of is as good as any other such.
                let uid = identity::uid_of_peer(&client).unwrap_or(u32::MAX);
                self.serve(tasks, client, Source::User(uid), Way::Unix, caller);
            }
            Arrival::Tcp(client, from) => match prepare(&client) {
                Ok(()) => self.serve(tasks, client, from.into(), Way::Tcp, Caller::MustShowToken),
                Err(error) => debug!("a client was gone before it was greeted: {error}"),
            },
        }
    }

    fn unix_caller(&self, client: &UnixStream) -> Caller {
        let (peercred, insecure_userns) = match &*self.door.borrow() {
            Door::Control => (true, true),
            Door::Change { peercred, insecure_userns, .. } => (*peercred, *insecure_userns),
        };
        if !peercred {
            return Caller::MustShowToken;
        }
        match identity::of_peer(client, &self.parts.host) {
            Ok(principal) if self.is_trusted(&principal, insecure_userns) => {
                Caller::Known(principal)
            }
            Ok(_) => Caller::Refused(
                "user ids of this namespace cannot be told apart; see insecure_userns".to_owned(),
            ),
            Err(why) => Caller::Refused(why),
        }
    }

    /// Within a user namespace only the daemon's own uid is beyond doubt.
    fn is_trusted(&self, principal: &Principal, insecure_userns: bool) -> bool {
        let own = rustix::process::geteuid().as_raw();
        let is_own = matches!(principal.who, Who::User { uid, .. } if uid == own);
        identity::has_identity_map() || (insecure_userns && is_own)
    }

    fn serve<S>(&self, tasks: &Tasks, socket: S, source: Source, way: Way, caller: Caller)
    where
        S: AsyncRead + AsyncWrite + HasDescriptor + Send + Unpin + 'static,
    {
        let Some(admission) = self.gate.admit(source) else { return };
        let (parts, cancel) = (self.parts.clone(), tasks.cancel().clone());
        let door = self.door.borrow().clone();
        tasks.spawn("client session", async move {
            // Dropping a session loses nothing: clients come back and name their place.
            let ended = tokio::select! {
                ended = session::run(socket, way, caller, door, &parts, admission) => ended,
                () = cancel.cancelled() => Ok(()),
            };
            if let Err(error) = ended {
                debug!("client connection ended: {error:#}");
            }
        });
    }
}

/// Somebody at the door.
#[derive(Debug)]
enum Arrival {
    Unix(UnixStream),
    Tcp(TcpStream, IpAddr),
}

impl Socket {
    /// Waits for the next one. Cancel-safe.
    async fn accept(&self) -> io::Result<Arrival> {
        match self {
            Self::Unix(socket, _) => socket.accept().await.map(|(client, _)| Arrival::Unix(client)),
            Self::Tcp(socket) => {
                socket.accept().await.map(|(client, from)| Arrival::Tcp(client, from.ip()))
            }
        }
    }
}

fn prepare(client: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    keep_alive(client)
}

/// Lets the kernel find out that a client's machine is gone, as nothing is read from a client that
/// is being written to. A limit to how long data may be under way (`TCP_USER_TIMEOUT`) would do
/// so sooner while there are some, but it also cuts off a client whose output is paused.
fn keep_alive(client: &TcpStream) -> io::Result<()> {
    let pause = Duration::from_millis(limits::PING_MS);
    sockopt::set_tcp_keepidle(client, pause)?;
    sockopt::set_tcp_keepintvl(client, pause)?;
    sockopt::set_tcp_keepcnt(client, UNANSWERED)?;
    sockopt::set_socket_keepalive(client, true)?;
    Ok(())
}
