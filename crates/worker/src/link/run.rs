//! The loop over the masters.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shim::SpoolRoot;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::backoff::Backoff;
use super::handshake::{self, HandshakeError};
use super::session;
use crate::daemon::{Event, Tails};
use crate::probes::Findings;
use crate::settings::{Address, Token};

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Links {
    pub masters: Vec<Address>,
    pub token: Token,
    pub max_builds: u32,
    /// The fact about control groups.
    pub cgroup: &'static str,
    pub spool: Arc<SpoolRoot>,
    pub daemon: mpsc::Sender<Event>,
    pub tails: watch::Receiver<Tails>,
    pub state: watch::Sender<LinkState>,
    pub findings: watch::Receiver<Findings>,
}

impl Links {
    /// Returns the findings of the probes; what is known already is news to a new connection.
    pub(super) fn news(&self) -> watch::Receiver<Findings> {
        let mut findings = self.findings.clone();
        if !findings.borrow().is_empty() {
            findings.mark_changed();
        }
        findings
    }
}

/// Where the connection is, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum LinkState {
    Connecting,
    Attached { master: String, address: String },
    Waiting { reason: String },
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::Attached { master, address } => write!(f, "attached to {master} ({address})"),
            Self::Waiting { reason } => write!(f, "not attached: {reason}"),
        }
    }
}

/// How an attempt at a connection came out.
enum Tried {
    /// It was attached for this long.
    Stood(Duration),
    Refused,
    Failed,
    Stopped,
}

/// Keeps a connection to one of the masters until the token is cancelled.
pub(crate) async fn run(links: Links, end: CancellationToken) {
    let mut backoff = Backoff::new();
    let mut journal = Journal::default();
    loop {
        let mut is_refused = false;
        for address in &links.masters {
            match try_one(&links, address, &end, &mut journal).await {
                Tried::Stood(time) => {
                    backoff.stood(time);
                    break;
                }
                Tried::Refused => is_refused = true,
                Tried::Failed => {}
                Tried::Stopped => return,
            }
        }
        let random = random();
        let pause = if is_refused { backoff.refused(random) } else { backoff.failed(random) };
        tokio::select! {
            () = sleep(pause) => {}
            () = end.cancelled() => return,
        }
    }
}

async fn try_one(
    links: &Links,
    address: &Address,
    end: &CancellationToken,
    journal: &mut Journal,
) -> Tried {
    let connected = tokio::select! {
        connected = handshake::connect(address, &links.token) => connected,
        () = end.cancelled() => return Tried::Stopped,
    };
    let connected = match connected {
        Ok(connected) => connected,
        Err(error) => {
            journal.failure(address, &error.to_string());
            links.state.send_replace(LinkState::Waiting { reason: format!("{address}: {error}") });
            let is_refused = matches!(error, HandshakeError::Refused(_));
            return if is_refused { Tried::Refused } else { Tried::Failed };
        }
    };
    let master = connected.welcome.master.clone();
    let mut since = None;
    let on_attached = || {
        since = Some(Instant::now());
        journal.success(address);
        info!(master = %one_line(&master), address = %address, "attached");
        let state = LinkState::Attached { master: master.clone(), address: address.to_string() };
        links.state.send_replace(state);
    };
    let outcome = session::run(connected, links, end, on_attached).await;
    let Err(error) = outcome else {
        links.state.send_replace(LinkState::Connecting);
        let time = since.map_or(Duration::ZERO, |since| since.elapsed());
        return if end.is_cancelled() { Tried::Stopped } else { Tried::Stood(time) };
    };
    let reason = format!("{error:#}");
    links.state.send_replace(LinkState::Waiting { reason: format!("{address}: {reason}") });
    if let Some(since) = since {
        info!(address = %address, "connection to the master ended: {}", one_line(&reason));
        return Tried::Stood(since.elapsed());
    }
    journal.failure(address, &reason);
    Tried::Failed
}

/// Writes each kind of failure once, not every few seconds.
#[derive(Debug, Default)]
struct Journal {
    last: BTreeMap<String, String>,
}

impl Journal {
    fn failure(&mut self, address: &Address, reason: &str) {
        let reason = one_line(reason);
        let last = self.last.insert(address.to_string(), reason.clone());
        if last.as_ref() == Some(&reason) {
            debug!(address = %address, "no connection to the master: {reason}");
        } else {
            warn!(address = %address, "no connection to the master: {reason}; trying again");
        }
    }

    fn success(&mut self, address: &Address) {
        self.last.remove(&address.to_string());
    }
}

/// A master's words may not break a line of the log.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Draws a number to spread pauses with; without chance there is none.
fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}
