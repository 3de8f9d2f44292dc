//! Attaches many workers at once: one real connection each, which shakes hands as a worker does
//! and has no commands. They stay until standard input ends.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread::{Builder, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context as _, bail};
use proto::message::command::{Attach, Attached, Facts, Readiness};
use proto::message::hello::{Hello, Role, Welcome};
use proto::message::question::{Status, StatusWanted};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::line::Line;
use crate::moment::now_ns;

/// A master that closes so many connections of one worker does not want it.
const MOST_TRIES: usize = 100;
/// Enough for a frame and what decodes it.
const STACK_BYTES: usize = 256 * 1024;
/// Before a worker that was turned away comes again, and between two looks at the master.
const PAUSE: Duration = Duration::from_millis(1);

/// Writes a line: begin and the moment the master had them all, in ns, and how often one had to
/// try again. `tokens` has a line for each worker.
pub(crate) fn measure(port: &OsStr, control: &OsStr, tokens: &OsStr) -> anyhow::Result<String> {
    raise_limit()?;
    let port = port.to_str().context("an address is text")?;
    let tokens = fs::read_to_string(tokens).context("read the tokens")?;
    let tokens: Vec<&str> = tokens.lines().collect();
    let begin = now_ns();
    let crowd = all_at_once(port, &tokens)?;
    let tries_again: usize = crowd.iter().map(|(_, again)| again).sum();
    wait_until_known(control, crowd.len())?;
    let mut out = io::stdout();
    writeln!(out, "{begin} {} {tries_again}", now_ns()).context("tell when")?;
    out.flush().context("tell when")?;
    io::stdin().read_to_end(&mut Vec::new()).context("wait for the end of stdin")?;
    Ok(String::new())
}

/// Attaches each on a thread of its own: workers do not wait for each other.
fn all_at_once(port: &str, tokens: &[&str]) -> anyhow::Result<Vec<(Line<TcpStream>, usize)>> {
    std::thread::scope(|scope| {
        let spawn = |token: &&'_ str| {
            let token = (*token).to_owned();
            Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, move || one(port, &token))
        };
        let workers: Vec<_> = tokens.iter().map(spawn).collect();
        let join = |worker: io::Result<ScopedJoinHandle<'_, _>>| match worker
            .context("start a thread")?
            .join()
        {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().map(join).collect()
    })
}

/// Attaches one worker. Who is turned away comes again, as a worker does; says how often.
fn one(port: &str, token: &str) -> anyhow::Result<(Line<TcpStream>, usize)> {
    for again in 0..MOST_TRIES {
        if let Ok(line) = attached(port, token) {
            return Ok((line, again));
        }
        std::thread::sleep(PAUSE);
    }
    bail!("a worker was turned away {MOST_TRIES} times")
}

fn attached(port: &str, token: &str) -> anyhow::Result<Line<TcpStream>> {
    let socket = TcpStream::connect(port).with_context(|| format!("connect to {port}"))?;
    socket.set_nodelay(true).context("set TCP_NODELAY")?;
    let mut line = Line::new(socket);
    line.send(&Hello::new(Role::Worker, Some(token.into())))?;
    line.receive::<Welcome>()?;
    line.send(&attach())?;
    line.receive::<Attached>()?;
    Ok(line)
}

fn attach() -> Attach {
    Attach {
        boot_id: "probe".to_owned(),
        spool_id: "probe".to_owned(),
        max_builds: 1,
        facts: Facts::default(),
        commands: Vec::new(),
        readiness: Readiness::Ready,
    }
}

fn wait_until_known(control: &OsStr, count: usize) -> anyhow::Result<()> {
    let mut control = Line::open(Path::new(control), Role::Control)?;
    loop {
        control.send(&StatusWanted {})?;
        let status: Status = control.receive()?;
        if status.workers.iter().filter(|worker| worker.is_attached).count() == count {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Every connection is a descriptor.
fn raise_limit() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("raise the limit of descriptors")
}
