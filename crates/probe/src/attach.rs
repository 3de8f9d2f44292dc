//! Attaches many workers at once: one real connection each, which shakes hands as a worker does
//! and has no commands. They stay until standard input ends.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
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
    let mut tries_again = 0;
    let lines: anyhow::Result<Vec<_>> = tokens.iter().map(|token| greet(port, token)).collect();
    let mut crowd = Vec::with_capacity(tokens.len());
    for (line, token) in lines?.into_iter().zip(&tokens) {
        let (mut line, again) = welcome(line, port, token)?;
        tries_again += again;
        line.send(&attach())?;
        crowd.push(line);
    }
    for line in &mut crowd {
        line.receive::<Attached>()?;
    }
    wait_until_known(control, crowd.len())?;
    let mut out = std::io::stdout();
    writeln!(out, "{begin} {} {tries_again}", now_ns()).context("tell when")?;
    out.flush().context("tell when")?;
    std::io::stdin().read_to_end(&mut Vec::new()).context("wait for the end of stdin")?;
    Ok(String::new())
}

fn greet(port: &str, token: &str) -> anyhow::Result<Line<TcpStream>> {
    let socket = TcpStream::connect(port).with_context(|| format!("connect to {port}"))?;
    socket.set_nodelay(true).context("set TCP_NODELAY")?;
    let mut line = Line::new(socket);
    line.send(&Hello::new(Role::Worker, Some(token.into())))?;
    Ok(line)
}

/// Waits for the welcome. Who is turned away comes again, as a worker does.
fn welcome(
    mut line: Line<TcpStream>,
    port: &str,
    token: &str,
) -> anyhow::Result<(Line<TcpStream>, usize)> {
    for again in 0..MOST_TRIES {
        if line.receive::<Welcome>().is_ok() {
            return Ok((line, again));
        }
        std::thread::sleep(PAUSE);
        line = greet(port, token)?;
    }
    bail!("a worker was turned away {MOST_TRIES} times")
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
