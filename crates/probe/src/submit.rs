//! Submits many launches over one connection, and waits until the master knows the end of all.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use proto::message::hello::Role;
use proto::message::launch::{Accepted, Ended, Follow, Launch, Position, Wait};
use proto::message::question::{Status, StatusWanted};
use proto::{Bytes, encode};

use crate::line::Line;
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
    let before = waiting(control)?;
    let (begin, accepted, mut client, last) = submit(change, app, count)?;
    client.send(&Follow { request: last, position: Position::default() })?;
    client.receive::<Ended>()?;
    Ok(format!("{begin} {accepted} {}", when_left(control, before)?))
}

/// Submits launches that wait. Returns a line: begin, all accepted, in ns.
pub(crate) fn fill(change: &OsStr, app: &str, count: usize) -> anyhow::Result<String> {
    let (begin, accepted, _, _) = submit(change, app, count)?;
    Ok(format!("{begin} {accepted}\n"))
}

/// Returns when it began and when all were accepted, the connection, and the last request.
fn submit(change: &OsStr, app: &str, count: usize) -> anyhow::Result<(i64, i64, Line, String)> {
    let launches = launches(app, &[], count)?;
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
    Ok((begin, accepted, client, last))
}

/// Waits until the master knows the end of everything; returns that moment in ns.
pub(crate) fn when_idle(control: &OsStr) -> anyhow::Result<String> {
    when_left(control, 0)
}

fn when_left(control: &OsStr, left: u64) -> anyhow::Result<String> {
    let mut control = Line::open(Path::new(control), Role::Control)?;
    loop {
        let status = status(&mut control)?;
        if status.waiting + status.running <= left {
            return Ok(format!("{}\n", now_ns()));
        }
        std::thread::sleep(GLANCE);
    }
}

fn waiting(control: &OsStr) -> anyhow::Result<u64> {
    Ok(status(&mut Line::open(Path::new(control), Role::Control)?)?.waiting)
}

fn status(control: &mut Line) -> anyhow::Result<Status> {
    control.send(&StatusWanted {})?;
    control.receive()
}

/// Encodes launches of an app, each with an id of its own.
pub(crate) fn launches(app: &str, args: &[Bytes], count: usize) -> anyhow::Result<Vec<u8>> {
    let (run, process) = (now_ns(), std::process::id());
    let mut bytes = Vec::new();
    for number in 0..count {
        let launch = Launch {
            launch_id: format!("{run}-{process}-{number}"),
            app: app.to_owned(),
            args: args.to_vec(),
            env: Vec::new(),
            offered: Vec::new(),
            cwd: Bytes::from("/"),
            host: "probe".to_owned(),
            wait: Wait::Detach,
        };
        bytes.extend(encode(&launch)?);
    }
    Ok(bytes)
}
