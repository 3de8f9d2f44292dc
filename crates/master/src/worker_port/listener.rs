//! Accepts workers' connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use engine::settings::Settings;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::session;
use super::token::TokenFile;
use crate::core::Core;
use crate::log::Shelf;
use crate::tasks::Tasks;

/// Connections that have not yet proved who they are.
const MOST_HANDSHAKES: usize = 256;
/// After an accept that failed for want of descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// What every session needs.
#[derive(Debug)]
pub struct ListenerParts {
    pub master: String,
    pub epoch: i64,
    pub tokens: TokenFile,
    pub settings: Arc<Settings>,
    pub core: Core,
    pub shelf: Arc<Shelf>,
    /// Numbers connections within the epoch.
    pub sessions: AtomicI64,
}

/// The worker port, bound.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    parts: Arc<ListenerParts>,
    handshakes: Arc<Semaphore>,
}

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// When it is taken or not ours.
    pub async fn bind(address: SocketAddr, parts: ListenerParts) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let handshakes = Arc::new(Semaphore::new(MOST_HANDSHAKES));
        Ok(Self { socket, parts: Arc::new(parts), handshakes })
    }

    /// Returns the address with the port the system chose.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until cancelled.
    pub async fn run(self, tasks: Tasks) {
        let cancel = tasks.cancel().clone();
        loop {
            // Both branches are cancel-safe.
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = cancel.cancelled() => return,
            };
            match accepted {
                Ok((socket, peer)) => self.welcome(&tasks, socket, peer),
                Err(error) => {
                    warn!("accept a worker's connection: {error}");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    fn welcome(&self, tasks: &Tasks, socket: TcpStream, peer: SocketAddr) {
        let Ok(permit) = self.handshakes.clone().try_acquire_owned() else {
            warn!(%peer, "refused: too many unfinished handshakes");
            return;
        };
        let (parts, family) = (self.parts.clone(), tasks.child());
        tasks.spawn("worker session", async move {
            match session::run(socket, &parts, permit, &family).await {
                Ok(()) => {}
                Err(error) => info!(%peer, "worker connection ended: {error:#}"),
            }
        });
    }
}
