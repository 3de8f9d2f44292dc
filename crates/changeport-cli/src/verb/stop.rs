//! `stop ID`: ends a request, waiting or running.

use proto::message::launch::{Cancel, Cancelled, Stage};

use super::{ask, print};
use crate::notice::{Complaint, harmless};
use crate::settings::Settings;

pub(crate) fn main(settings: &Settings, request: String, reason: String) -> Result<u8, Complaint> {
    let cancelled: Cancelled =
        ask(settings, &Cancel { request, reason, signal: 0, only_queued: false })?;
    let what = match cancelled.stage {
        Stage::Queued => "left the queue",
        Stage::Running => "was told to end",
        Stage::Ended => "had ended before",
        Stage::Unknown => "was stopped",
    };
    let (request, detail) = (harmless(&cancelled.request), harmless(&cancelled.detail));
    match cancelled.detail.as_str() {
        "" => print(&format!("{request} {what}")),
        _ => print(&format!("{request} is going to end: {detail}")),
    }
}
