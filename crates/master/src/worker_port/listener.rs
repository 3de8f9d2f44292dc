//! Accepts workers' connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use config::Name;
use engine::settings::Settings;
use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;

use super::session;
use super::token::TokenFile;
use crate::core::Core;
use crate::gate::{Gate, Share, Throttle};
use crate::log::Shelf;
use crate::secret_source::SecretSources;
use crate::tasks::Tasks;

/// Connections that wait to be accepted: after a restart all workers come at once. The kernel drops
/// who finds no place, and tries again a second later.
const WAITING: u32 = 4_096;

/// Which workers there are, and how they prove it.
#[derive(Debug, Clone)]
pub struct WorkerAdmission {
    pub tokens: TokenFile,
    pub settings: Arc<Settings>,
    pub secrets: Arc<SecretSources>,
}

/// What every session needs.
#[derive(Debug)]
pub struct ListenerParts {
    pub master: String,
    pub epoch: i64,
    /// Who may come in; a reload changes it for those who come then.
    pub admission: watch::Receiver<WorkerAdmission>,
    pub core: Core,
    pub shelf: Arc<Shelf>,
    /// Numbers connections within the epoch.
    pub sessions: AtomicI64,
    /// Words about workers that say what they should not.
    pub misconduct: Throttle<Name>,
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// The worker port, bound.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    parts: Arc<ListenerParts>,
    gate: Gate,
    /// Words about connections that ended badly, by where they came from.
    ends: Arc<Throttle<IpAddr>>,
}

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// When it is taken or not ours.
    pub async fn bind(address: SocketAddr, parts: ListenerParts, share: Share) -> io::Result<Self> {
        let socket = listen(address)?;
        Ok(Self {
            socket,
            parts: Arc::new(parts),
            gate: Gate::new("worker", share),
            ends: Arc::default(),
        })
    }

    /// Returns the address with the port the system chose.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until cancelled.
    pub async fn run(mut self, tasks: Tasks) {
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
                    let accept = || self.socket.accept().now_or_never().is_some_and(|a| a.is_ok());
                    self.gate.accept_failed(error, accept).await;
                }
            }
        }
    }

    fn welcome(&self, tasks: &Tasks, socket: TcpStream, peer: SocketAddr) {
        let Some(admission) = self.gate.admit(peer.ip().into()) else { return };
        let (parts, family, ends) = (self.parts.clone(), tasks.child(), self.ends.clone());
        tasks.spawn("worker session", async move {
            if let Err(error) = session::run(socket, &parts, admission, &family).await
                && let Some(others) = ends.pass(peer.ip(), Instant::now())
            {
                info!(%peer, others, "worker connection ended: {error:#}");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn hundreds_of_workers_find_a_place_to_wait() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        // Who finds no place is tried again by the kernel after a second.
        let patience = Duration::from_millis(900);
        let connect = |_| std::net::TcpStream::connect_timeout(&address, patience).unwrap();
        let waiting: Vec<_> = (0..400).map(connect).collect();
        assert_eq!(waiting.len(), 400);
    }
}
