//! `stop ID`: ends a request, waiting or running.

use std::io::Write as _;

use proto::message::launch::{Cancel, Cancelled, Stage};

use super::ask;
use crate::exit;
use crate::notice::Complaint;
use crate::settings::Settings;

pub(crate) fn main(settings: &Settings, request: String, reason: String) -> Result<u8, Complaint> {
    let cancelled: Cancelled = ask(settings, &Cancel { request, reason, signal: 0 })?;
    let what = match cancelled.stage {
        Stage::Queued => "left the queue",
        Stage::Running => "was told to end",
        Stage::Ended => "had ended before",
        Stage::Unknown => "was stopped",
    };
    writeln!(std::io::stdout(), "{} {what}", cancelled.request)
        .map(|()| 0)
        .map_err(|error| Complaint::new(exit::BROKEN_PIPE, error.to_string(), ""))
}
