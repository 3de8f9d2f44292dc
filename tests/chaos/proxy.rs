//! Between a worker and the master: a wire that can be cut, stopped, slowed and made to repeat
//! itself.
//!
//! Each direction of each connection has a thread of its own, which looks at the weather before
//! it passes anything on. Bytes are never changed; whole frames may come more than once.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::kind;

use crate::dice::Dice;

/// How often a thread looks at the weather while nothing comes.
const GLANCE: Duration = Duration::from_millis(10);
/// Frames remembered to be sent again.
const MOST_REMEMBERED: usize = 200;
/// What goes through at once on a slow wire.
const DROP_BYTES: usize = 32;

/// What happens to bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Clear,
    /// Nothing goes through.
    Hold,
    /// It takes this long.
    Delay {
        ms: u64,
    },
    /// So many bytes a second.
    Slow {
        bytes: u64,
    },
    /// Orders and reports come again, also those of earlier connections.
    Echo,
}

/// A direction, and the side whose socket is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Worker,
    Master,
}

/// A listener in place of the master.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: String,
    wire: Arc<Wire>,
}

#[derive(Debug)]
struct Wire {
    upstream: String,
    /// Of what comes from the worker, and of what comes from the master.
    weather: [Mutex<Weather>; 2],
    links: Mutex<Vec<Arc<Link>>>,
    /// Frames that went through, of each direction.
    remembered: [Mutex<Vec<Vec<u8>>>; 2],
    is_over: AtomicBool,
}

/// One connection through the proxy.
#[derive(Debug)]
struct Link {
    worker: TcpStream,
    master: TcpStream,
    /// One side was closed and the other must not notice.
    is_half_open: AtomicBool,
}

impl Proxy {
    /// Listens in place of `upstream`.
    pub(crate) fn start(upstream: &str, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let wire = Arc::new(Wire {
            upstream: upstream.to_owned(),
            weather: [Mutex::new(Weather::Clear), Mutex::new(Weather::Clear)],
            links: Mutex::default(),
            remembered: Default::default(),
            is_over: AtomicBool::new(false),
        });
        let accepting = wire.clone();
        std::thread::spawn(move || accept(&listener, &accepting, seed));
        Ok(Self { address, wire })
    }

    /// Returns where workers find it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Changes what happens to bytes that come from a side.
    pub(crate) fn set(&self, from: Side, weather: Weather) {
        *lock(&self.wire.weather[from as usize]) = weather;
    }

    /// Lets everything through. Connections that were broken stay so.
    pub(crate) fn heal(&self) {
        self.set(Side::Worker, Weather::Clear);
        self.set(Side::Master, Weather::Clear);
    }

    /// Ends every connection, on both sides.
    pub(crate) fn cut(&self) {
        for link in lock(&self.wire.links).drain(..) {
            link.close(Side::Worker);
            link.close(Side::Master);
        }
    }

    /// Closes one side of every connection; the other stays, and nothing comes any more.
    pub(crate) fn half_open(&self, closed: Side) {
        for link in lock(&self.wire.links).iter() {
            link.is_half_open.store(true, Ordering::SeqCst);
            link.close(closed);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.is_over.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the listener, which then sees that it is over.
        drop(TcpStream::connect(&self.address));
    }
}

impl Link {
    fn of(&self, side: Side) -> &TcpStream {
        match side {
            Side::Worker => &self.worker,
            Side::Master => &self.master,
        }
    }

    fn close(&self, side: Side) {
        // It may be closed already.
        drop(self.of(side).shutdown(Shutdown::Both));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, wire: &Arc<Wire>, seed: u64) {
    let mut number = 0;
    for worker in listener.incoming() {
        if wire.is_over.load(Ordering::SeqCst) {
            return;
        }
        number += 1;
        // Where the master is not there, the worker is hung up on.
        let Ok(link) = worker.and_then(|worker| connect(worker, &wire.upstream)) else { continue };
        let link = Arc::new(link);
        lock(&wire.links).push(link.clone());
        for (from, to) in [(Side::Worker, Side::Master), (Side::Master, Side::Worker)] {
            let dice = Dice::new(seed, number * 2 + from as u64);
            let pump = Pump { wire: wire.clone(), link: link.clone(), from, to, dice };
            std::thread::spawn(move || pump.run());
        }
    }
}

fn connect(worker: TcpStream, upstream: &str) -> io::Result<Link> {
    let master = TcpStream::connect(upstream)?;
    for socket in [&worker, &master] {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(GLANCE))?;
    }
    Ok(Link { worker, master, is_half_open: AtomicBool::new(false) })
}

/// One direction of a connection.
struct Pump {
    wire: Arc<Wire>,
    link: Arc<Link>,
    from: Side,
    to: Side,
    dice: Dice,
}

impl Pump {
    fn run(mut self) {
        // However it ends, both sides learn of it, unless one must not.
        drop(self.pass_on());
        if !self.link.is_half_open.load(Ordering::SeqCst) {
            self.link.close(self.from);
            self.link.close(self.to);
            lock(&self.wire.links).retain(|link| !Arc::ptr_eq(link, &self.link));
        }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        let mut frames = Frames::default();
        loop {
            let count = match self.link.of(self.from).read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if is_idle(&error) => {
                    if self.link.is_half_open.load(Ordering::SeqCst) {
                        return Ok(());
                    }
                    self.echo(&frames)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.weather_through(&bytes[..count])?;
            for frame in frames.push(&bytes[..count]) {
                self.remember(frame);
            }
            self.echo(&frames)?;
        }
    }

    fn weather(&self) -> Weather {
        *lock(&self.wire.weather[self.from as usize])
    }

    fn weather_through(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut to = self.link.of(self.to);
        while !bytes.is_empty() {
            if self.link.is_half_open.load(Ordering::SeqCst) {
                return Ok(());
            }
            match self.weather() {
                Weather::Hold => std::thread::sleep(GLANCE),
                Weather::Slow { bytes: per_second } => {
                    let (now, later) = bytes.split_at(bytes.len().min(DROP_BYTES));
                    to.write_all(now)?;
                    bytes = later;
                    let ms = DROP_BYTES as u64 * 1_000 / per_second.max(1);
                    std::thread::sleep(Duration::from_millis(ms));
                }
                Weather::Delay { ms } => {
                    std::thread::sleep(Duration::from_millis(ms));
                    return to.write_all(bytes);
                }
                Weather::Clear | Weather::Echo => return to.write_all(bytes),
            }
        }
        Ok(())
    }

    fn remember(&mut self, frame: Vec<u8>) {
        if [kind::START, kind::STOP, kind::FINAL_ACK, kind::REPORT].contains(&kind_of(&frame)) {
            let mut remembered = lock(&self.wire.remembered[self.from as usize]);
            if remembered.len() == MOST_REMEMBERED {
                let index = self.dice.roll() % MOST_REMEMBERED as u64;
                remembered.swap_remove(usize::try_from(index).unwrap_or(0));
            }
            remembered.push(frame);
        }
    }

    /// Sends something again, between two frames.
    fn echo(&mut self, frames: &Frames) -> io::Result<()> {
        // The first frames of a connection are its handshake.
        if self.weather() != Weather::Echo || !frames.is_between() || frames.count < 3 {
            return Ok(());
        }
        let remembered = lock(&self.wire.remembered[self.from as usize]).clone();
        if remembered.is_empty() {
            return Ok(());
        }
        for _ in 0..self.dice.between(1, 4) {
            let frame: &Vec<u8> = self.dice.pick(&remembered);
            self.link.of(self.to).write_all(frame)?;
        }
        Ok(())
    }
}

fn is_idle(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Length of a frame's head: how much follows, as `u32`.
const HEAD: usize = 4;

fn kind_of(frame: &[u8]) -> u16 {
    frame.get(HEAD..HEAD + 2).map_or(0, |kind| u16::from_be_bytes([kind[0], kind[1]]))
}

/// Finds frames in passing bytes.
#[derive(Debug, Default)]
struct Frames {
    part: Vec<u8>,
    count: u64,
}

impl Frames {
    fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.part.extend_from_slice(bytes);
        let mut whole = Vec::new();
        while let Some(head) = self.part.first_chunk::<HEAD>() {
            let end = HEAD + u32::from_be_bytes(*head) as usize;
            if self.part.len() < end {
                break;
            }
            let rest = self.part.split_off(end);
            whole.push(std::mem::replace(&mut self.part, rest));
        }
        self.count += whole.len() as u64;
        whole
    }

    fn is_between(&self) -> bool {
        self.part.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let frame = [&5u32.to_be_bytes()[..], &kind::REPORT.to_be_bytes(), b"abc"].concat();
        let twice = [frame.clone(), frame.clone()].concat();
        for cut in 0..=twice.len() {
            let mut frames = Frames::default();
            let mut found = frames.push(&twice[..cut]);
            assert_eq!(frames.is_between(), cut % frame.len() == 0);
            found.extend(frames.push(&twice[cut..]));
            assert_eq!(found, [frame.clone(), frame.clone()]);
            assert_eq!(kind_of(&found[0]), kind::REPORT);
        }
    }
}
