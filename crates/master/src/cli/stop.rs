//! `master stop ID`

use std::io::Write as _;
use std::path::Path;

use proto::message::launch::{Cancel, Cancelled, Stage};

use super::table::plain;
use super::{connect, print, print_json};

pub(super) fn main(
    config: &Path,
    json: bool,
    request: String,
    reason: String,
) -> anyhow::Result<()> {
    let mut master = connect(config)?;
    master.send(&Cancel { request, reason, signal: 0, only_queued: false })?;
    let cancelled: Cancelled = master.receive()?;
    if json {
        return print_json("cancelled", &[cancelled]);
    }
    let what = match cancelled.stage {
        Stage::Queued => "left the queue",
        Stage::Running => "was told to end",
        Stage::Ended => "had ended before",
        Stage::Unknown => "was stopped",
    };
    if cancelled.detail.is_empty() {
        return print(|out| writeln!(out, "{} {what}", cancelled.request));
    }
    let (request, detail) = (&cancelled.request, plain(&cancelled.detail));
    print(|out| {
        writeln!(out, "{request} is going to end: {detail}")?;
        writeln!(out, "To end it without the worker: master stop {request} --give-up")
    })
}
