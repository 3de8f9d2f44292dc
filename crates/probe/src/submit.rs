//! Submits many launches over one connection and waits until the master knows the end of all.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use proto::message::hello::{Hello, Refusal, Role, Welcome};
use proto::message::launch::{Accepted, Ended, Follow, Launch, Position, Wait};
use proto::message::question::{Status, StatusWanted};
use proto::{Bytes, Frame, FrameReader, Message, encode};

use crate::moment::now_ns;

/// Between two questions whether anything is left, once the last launch has ended.
const GLANCE: Duration = Duration::from_millis(1);

/// Returns a line: begin, all accepted, all ended, in ns.
pub(crate) fn measure(
    change: &OsStr,
    control: &OsStr,
    app: &str,
    count: usize,
) -> anyhow::Result<String> {
    let launches = launches(app, count)?;
    let begin = now_ns();
    let mut client = Line::open(Path::new(change), Role::Client)?;
    let mut writing = client.socket.try_clone().context("share the connection")?;
    // The answers have to be read while the launches are written, or both sides would wait.
    let writer = std::thread::spawn(move || writing.write_all(&launches));
    let mut last = String::new();
    for _ in 0..count {
        let accepted: Accepted = client.receive()?;
        last = accepted.requests.into_iter().next().context("a launch without a request")?;
    }
    let accepted = now_ns();
    match writer.join() {
        Ok(written) => written.context("write launches")?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
    client.send(&Follow { request: last, position: Position::default() })?;
    client.receive::<Ended>()?;
    Ok(format!("{begin} {accepted} {}", when_idle(control)?))
}

/// Waits until the master knows the end of everything; returns that moment in ns.
pub(crate) fn when_idle(control: &OsStr) -> anyhow::Result<String> {
    let mut control = Line::open(Path::new(control), Role::Control)?;
    loop {
        control.send(&StatusWanted {})?;
        let status: Status = control.receive()?;
        if status.waiting + status.running == 0 {
            return Ok(format!("{}\n", now_ns()));
        }
        std::thread::sleep(GLANCE);
    }
}

fn launches(app: &str, count: usize) -> anyhow::Result<Vec<u8>> {
    let (run, process) = (now_ns(), std::process::id());
    let mut bytes = Vec::new();
    for number in 0..count {
        let launch = Launch {
            launch_id: format!("{run}-{process}-{number}"),
            app: app.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: Bytes::from("/"),
            host: "probe".to_owned(),
            wait: Wait::Detach,
        };
        bytes.extend(encode(&launch)?);
    }
    Ok(bytes)
}

/// A connection to the master.
struct Line {
    socket: UnixStream,
    reader: FrameReader,
}

impl Line {
    fn open(path: &Path, role: Role) -> anyhow::Result<Self> {
        let socket =
            UnixStream::connect(path).with_context(|| format!("connect to {}", path.display()))?;
        let mut line = Self { socket, reader: FrameReader::authenticated() };
        line.send(&Hello::new(role, None))?;
        line.receive::<Welcome>()?;
        Ok(line)
    }

    fn send<M: Message>(&mut self, message: &M) -> anyhow::Result<()> {
        self.socket.write_all(&encode(message)?).context("write to the master")
    }

    /// Returns the next message of a kind; passes over what else a follower is told.
    fn receive<M: Message>(&mut self) -> anyhow::Result<M> {
        loop {
            let frame = self.frame()?;
            if frame.kind == M::KIND {
                return Ok(frame.open()?);
            }
            if frame.kind == Refusal::KIND {
                bail!("the master refused: {}", frame.open::<Refusal>()?);
            }
        }
    }

    fn frame(&mut self) -> anyhow::Result<Frame> {
        let mut bytes = [0; 64 * 1024];
        loop {
            if let Some(frame) = self.reader.next_frame()? {
                return Ok(frame);
            }
            match self.socket.read(&mut bytes).context("read from the master")? {
                0 => bail!("the master closed the connection"),
                count => self.reader.push(&bytes[..count]),
            }
        }
    }
}
