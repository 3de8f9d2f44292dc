//! The task that reloads.

use std::path::PathBuf;

use engine::{Answer, Event, Foresight};
use failpoint::Act;
use proto::message::configuration::Plan;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::candidate::{Candidate, Running};
use super::history::Beginning;
use super::order::{NotReloaded, Order, Queued, Reloads};
use super::plan;
use crate::clock;
use crate::core::{Core, CoreGone, Question};
use crate::doors::Doors;
use crate::settings;

/// What the task is made of.
#[derive(Debug)]
pub struct ReloaderParts {
    /// The file that the master reads.
    pub path: PathBuf,
    pub core: Core,
    pub beginning: Beginning,
}

/// Owns the configuration in force.
#[derive(Debug)]
pub struct Reloader {
    path: PathBuf,
    core: Core,
    running: Running,
    orders: mpsc::Receiver<Order>,
    /// What was planned last.
    planned: Option<(i64, config::Node)>,
}

impl From<CoreGone> for NotReloaded {
    fn from(_gone: CoreGone) -> Self {
        Self::stopping()
    }
}

impl Reloader {
    /// Makes the task and its handle.
    pub fn new(parts: ReloaderParts) -> (Self, Reloads) {
        let (reloads, orders) = Reloads::new();
        let ReloaderParts { path, core, beginning: Beginning(running) } = parts;
        (Self { path, core, running, orders, planned: None }, reloads)
    }

    /// Reloads when asked, until cancelled. What is cut off half-way is as after a kill: the next
    /// start reads the configuration.
    pub async fn run(mut self, mut doors: Doors, cancel: CancellationToken) {
        loop {
            // Both branches are cancel-safe.
            let order = tokio::select! {
                Some(order) = self.orders.recv() => order,
                () = cancel.cancelled() => return,
            };
            tokio::select! {
                () = self.obey(order, &mut doors) => {}
                () = cancel.cancelled() => return,
            }
        }
    }

    async fn obey(&mut self, order: Order, doors: &mut Doors) {
        let (outcome, reply) = match order {
            Order::Plan { files, queued, reply } => (self.plan(files, queued).await, reply),
            Order::Reload { planned, queued, reply } => {
                (self.reload(planned, queued, doors).await, reply)
            }
        };
        if reply.send(outcome).is_err() {
            tracing::debug!("nobody waits for the answer any more");
        }
    }

    async fn plan(
        &mut self,
        files: Vec<config::SourceFile>,
        queued: Queued,
    ) -> Result<Plan, NotReloaded> {
        let reading = blocking(move || settings::check(files)).await?;
        let candidate = Candidate::new(reading, &self.running, queued)?;
        let foresight = self.foresee(&candidate).await?;
        self.planned = Some((candidate.revision, candidate.tree.clone()));
        Ok(self.told(&candidate, &foresight))
    }

    async fn reload(
        &mut self,
        planned: Option<i64>,
        queued: Queued,
        doors: &mut Doors,
    ) -> Result<Plan, NotReloaded> {
        let outcome = self.try_reload(planned, queued, doors).await;
        match &outcome {
            Ok(plan) if plan.revision == plan.next => info!("reload: nothing changes"),
            Ok(plan) => tell(plan),
            Err(error) => warn!("reload: nothing was changed: {error}"),
        }
        outcome
    }

    async fn try_reload(
        &mut self,
        planned: Option<i64>,
        queued: Queued,
        doors: &mut Doors,
    ) -> Result<Plan, NotReloaded> {
        let path = self.path.clone();
        let reading = blocking(move || settings::read(&path)).await?;
        let reading = reading.map_err(|error| NotReloaded::Invalid {
            text: format!("{:#}\n", anyhow::Error::from(error)),
        })?;
        let candidate = Candidate::new(reading, &self.running, queued)?;
        self.check_planned(planned, &candidate)?;
        let ready = doors.prepare(&candidate.configuration).await.map_err(|error| {
            NotReloaded::Refused {
                code: "not_opened",
                message: format!("{:#}", anyhow::Error::from(error)),
                hint: "nothing was changed".to_owned(),
            }
        })?;
        let foresight = self.foresee(&candidate).await?;
        let plan = self.told(&candidate, &foresight);
        doors.announce(&ready);
        if !candidate.changes_nothing
            && let Err(refused) = self.commit(&candidate).await
        {
            ready.discard();
            return Err(refused);
        }
        doors.switch(ready, &candidate.settings).await;
        self.adopt(candidate, &foresight);
        Ok(plan)
    }

    /// What was planned is what is taken, or nothing.
    fn check_planned(&self, planned: Option<i64>, new: &Candidate) -> Result<(), NotReloaded> {
        let Some(wanted) = planned else { return Ok(()) };
        let is_it = |(n, tree): &(i64, config::Node)| {
            *n == wanted && *n == new.revision && config::is_same(tree, &new.tree)
        };
        if self.planned.as_ref().is_some_and(is_it) {
            return Ok(());
        }
        Err(NotReloaded::Refused {
            code: "not_planned",
            message: format!(
                "{} is not what was planned as revision {wanted}",
                self.path.display()
            ),
            hint: "see what it is now: master plan".to_owned(),
        })
    }

    async fn foresee(&self, candidate: &Candidate) -> Result<Foresight, NotReloaded> {
        let settings = candidate.settings.clone();
        Ok(self.core.question(|reply| Question::Foresee { settings, reply }).await?)
    }

    fn told(&self, candidate: &Candidate, foresight: &Foresight) -> Plan {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let nothing = Foresight::default();
        let foresight = if candidate.changes_nothing { &nothing } else { foresight };
        plan::plan(candidate, &self.running, foresight, path.as_os_str().as_encoded_bytes())
    }

    /// Has the engine take the configuration: from here on it is in force.
    async fn commit(&self, candidate: &Candidate) -> Result<(), NotReloaded> {
        let settings = candidate.settings.clone();
        let revision = candidate.row(&self.running, clock::wall_us());
        let event = |ticket| Event::Reconfigured { ticket, settings, revision };
        failpoint::before(Act::Reconfigured);
        let answer = self.core.ask(event).await?;
        failpoint::after(Act::Reconfigured);
        match answer {
            Answer::Reconfigured => Ok(()),
            Answer::Refused(refusal) => Err(NotReloaded::Refused {
                code: refusal.code,
                message: refusal.message,
                hint: refusal.hint,
            }),
            Answer::Accepted(_)
            | Answer::EnvWanted(_)
            | Answer::Polled
            | Answer::Prioritized(_)
            | Answer::Stopped(_)
            | Answer::GivenUp(_) => Err(NotReloaded::Refused {
                code: "bug",
                message: "the engine answered another question".to_owned(),
                hint: "please report this".to_owned(),
            }),
        }
    }

    fn adopt(&mut self, candidate: Candidate, foresight: &Foresight) {
        let Candidate { tree, files, revision, mut retained, .. } = candidate;
        let was_there = super::retained::builders(&self.running.tree);
        // Requests for one that has just gone may have come after the look.
        retained.retain(|one| {
            was_there.contains(&one.name)
                || foresight.drained.iter().any(|touched| touched.builder == one.name)
        });
        self.running.retained = retained;
        self.running.tree = tree;
        self.running.files = files;
        self.running.revision = revision;
    }
}

fn tell(plan: &Plan) {
    let cold = plan.differences.iter().filter(|line| line.needs_restart).count();
    let hot = plan.differences.len() - cold;
    info!(revision = plan.next, hot, cold, "configuration revision {} is in force", plan.next);
    for line in plan.differences.iter().filter(|line| line.needs_restart) {
        warn!("{} takes effect when the master starts again", line.path);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NotReloaded> {
    threads::blocking(work).await.map_err(|error| NotReloaded::Refused {
        code: "bug",
        message: format!("the configuration was not read to its end: {error}"),
        hint: "please report this".to_owned(),
    })
}
