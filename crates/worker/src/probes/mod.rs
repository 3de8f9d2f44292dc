//! Asks this machine about itself, from time to time and on demand: which Python, which licence.
//!
//! A probe is a program of the administrator. What it says on its first line is a finding; one that
//! fails, or takes too long, has found nothing. Findings go to the master, whose builders choose
//! workers by them.

mod run;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::Name;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::exec::{Own, plain_environment};
use crate::settings::{Probes, Variables};

/// What was found, by the name of the probe.
pub(crate) type Findings = BTreeMap<Name, String>;

/// The side of those who want to know.
#[derive(Debug, Clone)]
pub(crate) struct ProbeDesk {
    pub findings: watch::Receiver<Findings>,
    again: Arc<Notify>,
}

impl ProbeDesk {
    /// Has all probes run now.
    pub(crate) fn ask_again(&self) {
        self.again.notify_one();
    }
}

/// The side that runs probes.
#[derive(Debug)]
pub(crate) struct Prober {
    programs: BTreeMap<Name, Vec<String>>,
    interval: Duration,
    environment: BTreeMap<Vec<u8>, Vec<u8>>,
    findings: watch::Sender<Findings>,
    again: Arc<Notify>,
}

impl Prober {
    pub(crate) fn new(probes: Probes, own: &Own, variables: &Variables) -> (Self, ProbeDesk) {
        let (findings, known) = watch::channel(Findings::new());
        let again = Arc::new(Notify::new());
        let desk = ProbeDesk { findings: known, again: again.clone() };
        let environment = plain_environment(own, variables);
        let Probes { programs, interval } = probes;
        (Self { programs, interval, environment, findings, again }, desk)
    }

    /// Runs all probes, one after the other, now and whenever their time comes or somebody asks.
    pub(crate) async fn run(self, end: CancellationToken) {
        if self.programs.is_empty() {
            return;
        }
        loop {
            // Dropping a round ends the program that runs.
            tokio::select! {
                () = self.round() => {}
                () = end.cancelled() => return,
            }
            // All branches are cancel-safe.
            tokio::select! {
                () = sleep(self.interval) => {}
                () = self.again.notified() => {}
                () = end.cancelled() => return,
            }
        }
    }

    async fn round(&self) {
        let mut found = Findings::new();
        for (name, argv) in &self.programs {
            match run::run(argv, &self.environment).await {
                Ok(finding) => drop(found.insert(name.clone(), finding)),
                Err(why) => self.tell_failure(name, &why),
            }
        }
        self.findings.send_if_modified(|known| {
            let is_new = *known != found;
            if is_new {
                let text = found.iter().map(|(name, finding)| format!("{name}={finding:?}"));
                info!("probes found {}", text.collect::<Vec<_>>().join(" "));
                *known = found;
            }
            is_new
        });
    }

    /// Tells of a probe that finds nothing when it did before.
    fn tell_failure(&self, name: &Name, why: &str) {
        if self.findings.borrow().contains_key(name) {
            info!("probe {name} finds nothing any more: {why}");
        } else {
            tracing::debug!("probe {name} finds nothing: {why}");
        }
    }
}
