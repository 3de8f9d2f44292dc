//! The daemon's side of the control socket.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{SOCKET, Status, Wish, address};
use crate::daemon::{Event, Leave};
use crate::link::LinkState;
use crate::probes::ProbeDesk;
use crate::tasks::Tasks;

/// Connections at once.
const MOST: usize = 16;
/// Longest question, in bytes.
const QUESTION_BYTES: u64 = 64;
const PATIENCE: Duration = Duration::from_secs(5);
/// After an accept that failed for want of descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// The socket, bound.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    desk: Arc<Desk>,
}

/// What the daemon says of itself.
#[derive(Debug)]
pub(crate) struct About {
    pub name: String,
    pub max_builds: u32,
    pub control_groups: String,
    pub link: watch::Receiver<LinkState>,
    pub leave: watch::Receiver<Leave>,
    pub probes: ProbeDesk,
}

/// What answers need.
#[derive(Debug)]
struct Desk {
    data: String,
    about: About,
    daemon: mpsc::Sender<Event>,
    end: CancellationToken,
}

impl Server {
    /// Binds the socket of a data directory whose lock is held, so an old socket is nobody's.
    ///
    /// # Errors
    /// When the directory does not take a socket.
    pub(crate) fn bind(
        data: &Path,
        about: About,
        daemon: mpsc::Sender<Event>,
        end: CancellationToken,
    ) -> io::Result<Self> {
        let (_folder, path) = address(data)?;
        make_room(&path)?;
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let data = data.display().to_string();
        let desk = Desk { data, about, daemon, end };
        Ok(Self { listener, desk: Arc::new(desk) })
    }

    /// Answers until the tasks are told to end.
    pub(crate) async fn run(self, tasks: Tasks) {
        let places = Arc::new(Semaphore::new(MOST));
        loop {
            // Both branches are cancel-safe.
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = tasks.end().cancelled() => return,
            };
            match (accepted, places.clone().try_acquire_owned()) {
                (Ok((socket, _)), Ok(place)) => {
                    let desk = self.desk.clone();
                    tasks.spawn("control connection", async move {
                        if let Err(error) = desk.serve(socket).await {
                            debug!("control connection: {error}");
                        }
                        drop(place);
                    });
                }
                // Nobody has sixteen questions at once; the caller sees its connection close.
                (Ok(_), Err(_full)) => {}
                (Err(error), _) => {
                    warn!("accept a control connection: {error}");
                    sleep(BREATH).await;
                }
            }
        }
    }
}

/// Removes an old socket, and nothing else.
fn make_room(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => {
            let why = format!("{SOCKET} is there and is no socket; move it away");
            Err(io::Error::new(io::ErrorKind::AddrInUse, why))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

impl Desk {
    async fn serve(&self, mut socket: UnixStream) -> io::Result<()> {
        let caller = socket.peer_cred()?.uid();
        if caller != 0 && caller != rustix::process::geteuid().as_raw() {
            warn!(uid = caller, "refused a control connection of another user");
            return Ok(());
        }
        let Some(wish) = question(&mut socket).await? else { return Ok(()) };
        let Some(before) = self.status().await else { return Ok(()) };
        // Before the answer, which says how it then is.
        match wish {
            Wish::Drain(order) => drop(self.daemon.send(Event::Drain(order)).await),
            Wish::Resume => drop(self.daemon.send(Event::Resume).await),
            Wish::Probe => self.about.probes.ask_again(),
            Wish::Status | Wish::Stop | Wish::Kill => {}
        }
        let status = match self.status().await {
            Some(status) => status,
            // There was nothing to wait for, and the daemon is about to be gone.
            None => Status { leave: *self.about.leave.borrow(), ..before },
        };
        write_line(&mut socket, &status).await?;
        match wish {
            Wish::Status | Wish::Resume | Wish::Probe => return Ok(()),
            Wish::Drain(_) => return self.follow(&mut socket, status).await,
            Wish::Stop => {
                info!("asked to stop; commands go on");
                self.end.cancel();
            }
            // A daemon that is stopping already will not hear it; the caller sees it go.
            Wish::Kill => drop(self.daemon.send(Event::EndAll).await),
        }
        self.end.cancelled().await;
        Ok(())
    }

    /// Writes every change of a drain until it is taken back or the daemon has ended.
    async fn follow(&self, socket: &mut UnixStream, mut status: Status) -> io::Result<()> {
        let mut leave = self.about.leave.clone();
        // What it is by now may be news already.
        leave.mark_changed();
        loop {
            // Both branches are cancel-safe.
            let is_over = tokio::select! {
                changed = leave.changed() => changed.is_err(),
                () = self.end.cancelled() => true,
            };
            // The last word counts: it says whether everything was done.
            status.leave = *leave.borrow_and_update();
            write_line(socket, &status).await?;
            if is_over || status.leave == Leave::Ready {
                return Ok(());
            }
        }
    }

    async fn status(&self) -> Option<Status> {
        let (reply, census) = oneshot::channel();
        self.daemon.send(Event::Count(reply)).await.ok()?;
        let census = census.await.ok()?;
        Some(Status {
            name: self.about.name.clone(),
            version: proto::VERSION.to_owned(),
            pid: std::process::id(),
            data: self.data.clone(),
            master: self.about.link.borrow().clone(),
            max_builds: self.about.max_builds,
            control_groups: self.about.control_groups.clone(),
            running: census.running,
            waiting: census.waiting,
            leave: *self.about.leave.borrow(),
            findings: self
                .about
                .probes
                .findings
                .borrow()
                .iter()
                .map(|(name, value)| (name.to_string(), value.clone()))
                .collect(),
        })
    }
}

async fn write_line(socket: &mut UnixStream, status: &Status) -> io::Result<()> {
    let mut line = serde_json::to_vec(status).map_err(io::Error::other)?;
    line.push(b'\n');
    socket.write_all(&line).await
}

async fn question(socket: &mut UnixStream) -> io::Result<Option<Wish>> {
    let mut line = String::new();
    let mut reader = BufReader::new(socket.take(QUESTION_BYTES));
    timeout(PATIENCE, reader.read_line(&mut line)).await??;
    Ok(Wish::from_words(&line))
}
