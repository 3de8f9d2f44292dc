//! Every socket a master listens on, for what has to hold at each of them.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use proto::Bytes;
use proto::message::hello::{Hello, Role, Welcome};

use crate::daemon::Daemon;
use crate::raw::Raw;
use crate::yard::Yard;

/// One socket, and what is said there first.
#[derive(Clone)]
pub struct Door {
    pub name: &'static str,
    pub role: Role,
    place: Place,
    token: Option<Bytes>,
}

#[derive(Clone)]
enum Place {
    Unix(PathBuf),
    Tcp(String),
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Starts the yard's master with one more socket, for clients over TCP, and returns all four.
///
/// # Panics
/// When it does not start.
pub fn open_doors(yard: &Yard) -> (Daemon, [Door; 4]) {
    yard.draw_token("caller", "caller.token", "callers");
    let text = fs::read_to_string(yard.path("master.toml")).expect("the yard is ours");
    let both = "listen = [\"unix:change.sock\", \"tcp:127.0.0.1:0\"], \
        authenticate = [\"peercred\", \"token\"], token_file = \"callers\"";
    yard.write("master.toml", &text.replace("listen = [\"unix:change.sock\"]", both));
    let mut master = yard.start_master();
    let ready = master.wait_for("ready: ");
    let tcp = ready.rsplit("clients ").next().and_then(|rest| rest.split(',').next());
    let tcp = tcp.expect("it says where it listens").to_owned();
    let token = |file: &str| {
        let secret = fs::read(yard.path(file)).expect("the yard is ours");
        Some(Bytes::from(secret.trim_ascii()))
    };
    let workers = Place::Tcp(yard.worker_address().to_owned());
    let unix = |name: &str| Place::Unix(yard.path(name));
    let door = |name, role, place, token| Door { name, role, place, token };
    let doors = [
        door("worker port", Role::Worker, workers, token("worker.token")),
        door("change socket over TCP", Role::Client, Place::Tcp(tcp), token("caller.token")),
        door("change socket", Role::Client, unix("change.sock"), None),
        door("control socket", Role::Control, unix("control.sock"), None),
    ];
    (master, doors)
}

impl Door {
    /// Connects and says nothing.
    pub fn connect(&self) -> Raw {
        match &self.place {
            Place::Unix(path) => Raw::unix(path),
            Place::Tcp(address) => Raw::tcp(address),
        }
    }

    /// Connects as one who may.
    pub fn enter(&self) -> Raw {
        self.try_to_enter().expect("the other side is still there")
    }

    /// Connects as one who may; `None` where it had to go for others before it could say so.
    pub fn try_to_enter(&self) -> Option<Raw> {
        let mut raw = self.connect();
        raw.send(&Hello::new(self.role, self.token.clone()));
        let welcome = raw.receive()?;
        welcome.open::<Welcome>().expect("a welcome comes first");
        Some(raw)
    }
}
