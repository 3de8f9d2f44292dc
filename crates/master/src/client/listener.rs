//! The sockets on which clients call.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::Name;
use proto::limits;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::identity::{self, Principal, Who};
use super::session::{self, Caller, Way};
use super::socket_file::SocketFile;
use super::users::Users;
use crate::core::Core;
use crate::log::Shelf;
use crate::status::SourceBoard;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::worker_port::TokenFile;

const MOST_HANDSHAKES: usize = 256;
const BREATH: Duration = Duration::from_millis(100);
/// After so many probes without an answer a peer was silent for `SILENCE_MS`.
const UNANSWERED: u32 = 2;

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    Change { source: Name, peercred: bool, token: bool, insecure_userns: bool },
    /// The administrator's socket.
    Control,
}

impl Door {
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
    pub revision: i64,
    pub started_us: i64,
    pub core: Core,
    pub store: Arc<Store>,
    pub shelf: Arc<Shelf>,
    pub sources: SourceBoard,
    pub tokens: TokenFile,
    pub users: Users,
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
    door: Door,
    parts: Arc<ListenerParts>,
    handshakes: Arc<Semaphore>,
}

impl Listener {
    /// Binds an address. A Unix socket left by a master that was killed is replaced.
    ///
    /// # Errors
    /// When the address is taken or cannot be made.
    pub async fn bind(
        address: &Address,
        door: Door,
        parts: Arc<ListenerParts>,
    ) -> io::Result<Self> {
        let socket = match address {
            Address::Tcp(address) => Socket::Tcp(TcpListener::bind(address).await?),
            Address::Unix(path) => {
                let (socket, file) = SocketFile::bind(path, door.mode()).await?;
                Socket::Unix(socket, file)
            }
        };
        let handshakes = Arc::new(Semaphore::new(MOST_HANDSHAKES));
        Ok(Self { socket, door, parts, handshakes })
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

    /// Accepts until cancelled, then removes its socket file.
    pub async fn run(self, tasks: Tasks) {
        let cancel = tasks.cancel().clone();
        loop {
            // Both branches are cancel-safe.
            let accepted = tokio::select! {
                accepted = self.accept(&tasks) => accepted,
                () = cancel.cancelled() => break,
            };
            if let Err(error) = accepted {
                warn!("accept a client's connection: {error}");
                tokio::time::sleep(BREATH).await;
            }
        }
        if let Socket::Unix(_, file) = &self.socket
            && let Err(error) = file.remove()
        {
            info!("remove {}: {error}", file.path().display());
        }
    }

    async fn accept(&self, tasks: &Tasks) -> io::Result<()> {
        match &self.socket {
            Socket::Unix(socket, _) => {
                let (client, _) = socket.accept().await?;
                let caller = self.unix_caller(&client);
                self.welcome(tasks, client, Way::Unix, caller);
            }
            Socket::Tcp(socket) => {
                let (client, _) = socket.accept().await?;
                client.set_nodelay(true)?;
                keep_alive(&client)?;
                self.welcome(tasks, client, Way::Tcp, Caller::MustShowToken);
            }
        }
        Ok(())
    }

    fn unix_caller(&self, client: &tokio::net::UnixStream) -> Caller {
        let (peercred, insecure_userns) = match &self.door {
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

    fn welcome<S>(&self, tasks: &Tasks, socket: S, way: Way, caller: Caller)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Ok(permit) = self.handshakes.clone().try_acquire_owned() else {
            warn!("refused a client: too many unfinished handshakes");
            return;
        };
        let (parts, door, cancel) = (self.parts.clone(), self.door.clone(), tasks.cancel().clone());
        tasks.spawn("client session", async move {
            // Dropping a session loses nothing: clients come back and name their place.
            let ended = tokio::select! {
                ended = session::run(socket, way, caller, door, &parts, permit) => ended,
                () = cancel.cancelled() => Ok(()),
            };
            if let Err(error) = ended {
                tracing::debug!("client connection ended: {error:#}");
            }
        });
    }
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
