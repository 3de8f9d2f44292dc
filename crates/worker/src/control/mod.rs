//! The line to people on this machine: `DATA/worker.sock`.
//!
//! A few words in, one line of JSON out. After `stop` and `kill` the connection stays open until
//! the daemon has ended, so its end is the news; after `drain` a line comes for every change. The kernel says who asks: the daemon's own
//! user, or root.

mod client;
mod server;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::daemon::{AtDeadline, DrainOrder, Leave};
use crate::link::LinkState;

pub(crate) use client::{Client, News};
pub(crate) use server::{About, Server};

const SOCKET: &str = "worker.sock";

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Status,
    /// End the daemon; commands go on.
    Stop,
    /// End all commands, then the daemon.
    Kill,
    /// Finish all builds, then end the daemon.
    Drain(DrainOrder),
    /// Take builds again.
    Resume,
    /// Run all probes now.
    Probe,
}

impl Wish {
    fn words(self) -> String {
        match self {
            Self::Status => "status".to_owned(),
            Self::Stop => "stop".to_owned(),
            Self::Kill => "kill".to_owned(),
            Self::Resume => "resume".to_owned(),
            Self::Probe => "probe".to_owned(),
            Self::Drain(DrainOrder { deadline_ms, at_deadline }) => {
                let deadline = deadline_ms.map_or("never".to_owned(), |ms| ms.to_string());
                let then = match at_deadline {
                    AtDeadline::Leave => "leave",
                    AtDeadline::End => "end",
                };
                format!("drain {deadline} {then}")
            }
        }
    }

    fn from_words(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        Some(match words.as_slice() {
            ["status"] => Self::Status,
            ["stop"] => Self::Stop,
            ["kill"] => Self::Kill,
            ["resume"] => Self::Resume,
            ["probe"] => Self::Probe,
            ["drain", deadline, then] => {
                let deadline_ms = match *deadline {
                    "never" => None,
                    ms => Some(ms.parse().ok()?),
                };
                let at_deadline = match *then {
                    "leave" => AtDeadline::Leave,
                    "end" => AtDeadline::End,
                    _ => return None,
                };
                Self::Drain(DrainOrder { deadline_ms, at_deadline })
            }
            _ => return None,
        })
    }
}

/// The answer to every wish: how the worker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub name: String,
    pub version: String,
    pub pid: u32,
    pub data: String,
    pub master: LinkState,
    pub max_builds: u32,
    /// What ends and limits commands.
    pub control_groups: String,
    pub running: usize,
    /// Ended, with something the master does not have yet.
    pub waiting: usize,
    /// Whether it takes builds.
    pub leave: Leave,
    /// What its probes have found.
    #[serde(default)]
    pub findings: BTreeMap<String, String>,
}

/// An address of the socket that is short enough whatever the path, and what keeps it valid.
fn address(data: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(data, flags, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()));
    Ok((folder, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_wish_are_read_back() {
        let drain = |deadline_ms, at_deadline| Wish::Drain(DrainOrder { deadline_ms, at_deadline });
        for wish in [
            Wish::Status,
            Wish::Stop,
            Wish::Kill,
            Wish::Resume,
            Wish::Probe,
            drain(None, AtDeadline::Leave),
            drain(Some(u64::MAX), AtDeadline::End),
        ] {
            assert_eq!(Wish::from_words(&wish.words()), Some(wish));
        }
        for other in ["", "drain", "drain soon leave", "drain never", "status now"] {
            assert_eq!(Wish::from_words(other), None, "{other}");
        }
    }
}
