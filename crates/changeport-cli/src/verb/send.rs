//! `send`: a plain change, for whichever schedulers want it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use proto::Bytes;
use proto::message::command::Variable;
use proto::message::launch::{Accepted, SendChange};

use super::{complaint, print, try_to_ask};
use crate::connection::Trouble;
use crate::notice::{Complaint, harmless};
use crate::settings::Settings;
use crate::{exit, launch_id};

/// What `send` takes; Buildbot's `sendchange` knows the same.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    branch: Option<String>,
    #[arg(long)]
    revision: Option<String>,
    /// Default: who you are.
    #[arg(long)]
    author: Option<OsString>,
    #[arg(long, default_value = "")]
    comments: OsString,
    #[arg(long, default_value = "")]
    repository: String,
    #[arg(long, default_value = "")]
    project: String,
    #[arg(long, default_value = "")]
    codebase: String,
    #[arg(long)]
    category: Option<String>,
    /// NAME=VALUE; may be given again.
    #[arg(long = "property", value_name = "NAME=VALUE")]
    properties: Vec<OsString>,
    /// A file that changed; may be given again.
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<OsString>,
}

pub(crate) fn main(settings: &Settings, options: Options) -> Result<u8, Complaint> {
    let change = change(options)?;
    match try_to_ask(settings, &change) {
        Ok(accepted) => print(&harmless(&describe(&accepted))),
        Err(Trouble::Lost(error)) => {
            let what = format!("the master did not answer for a minute ({error})");
            Err(Complaint::new(exit::UNKNOWN_OUTCOME, what, "it may have taken the change"))
        }
        Err(trouble) => Err(complaint(&trouble, &settings.address.master)),
    }
}

fn change(options: Options) -> Result<SendChange, Complaint> {
    let bug = |error| Complaint::new(exit::BUG, format!("draw an id: {error}"), "");
    let bytes = |text: OsString| Bytes(text.into_vec());
    let properties: Result<Vec<Variable>, Complaint> =
        options.properties.into_iter().map(property).collect();
    Ok(SendChange {
        launch_id: launch_id::draw().map_err(bug)?,
        author: options.author.map(bytes),
        comments: bytes(options.comments),
        files: options.files.into_iter().map(bytes).collect(),
        branch: options.branch,
        revision: options.revision,
        repository: options.repository,
        project: options.project,
        codebase: options.codebase,
        category: options.category,
        properties: properties?,
    })
}

fn property(text: OsString) -> Result<Variable, Complaint> {
    let bytes = text.into_vec();
    let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
        let what = format!("`{}` is not NAME=VALUE", String::from_utf8_lossy(&bytes));
        return Err(Complaint::new(exit::BAD_REQUEST, what, "write --property NAME=VALUE"));
    };
    Ok(Variable { name: bytes[..at].into(), value: bytes[at + 1..].into() })
}

fn describe(accepted: &Accepted) -> String {
    let Accepted { change, requests, schedulers } = accepted;
    match (requests.as_slice(), schedulers.as_slice()) {
        ([], []) => format!("change {change} accepted, matched nothing"),
        ([], waiting) => {
            format!("change {change} accepted; waits for {}", waiting.join(", "))
        }
        (requests, []) => format!("change {change} accepted: {}", requests.join(", ")),
        (requests, waiting) => {
            let (requests, waiting) = (requests.join(", "), waiting.join(", "));
            format!("change {change} accepted: {requests}; waits for {waiting}")
        }
    }
}
