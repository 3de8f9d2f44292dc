//! Puts secrets into an order on its way to a worker.
//!
//! Nothing else waits for that: the order comes back when it is complete. A stop that overtakes it
//! is final at the worker, so the order finds an end there.

use std::collections::{BTreeMap, BTreeSet};

use config::Name;
use engine::Event;
use proto::feature;
use proto::message::command::{SecretValue, Start};
use secret::MOST_BYTES_TOGETHER;
use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::listener::WorkerAdmission;
use crate::core::Core;
use crate::secret_source::{SecretError, SecretSources};
use crate::tasks::Tasks;
use crate::wire;

/// Complete orders that wait to be written.
const ORDERS: usize = 64;

/// Why an order cannot be made.
#[derive(Debug, thiserror::Error)]
enum Incomplete {
    #[error(
        "worker {worker} is too old to keep a secret out of its files and logs; upgrade it to give \
         it secrets"
    )]
    Older { worker: Name },
    #[error("the configuration no longer has a secret `{name}`")]
    Gone { name: String },
    #[error("secret `{name}` cannot be read: {source}")]
    Read { name: String, source: SecretError },
    #[error("its secrets are longer than {MOST_BYTES_TOGETHER} bytes together")]
    Long,
}

/// Completes the orders of one connection.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) worker: Name,
    /// What the worker understands.
    pub(super) features: u64,
    pub(super) admission: watch::Receiver<WorkerAdmission>,
    pub(super) core: Core,
    pub(super) family: Tasks,
    done: mpsc::Sender<Box<Start>>,
}

impl Completion {
    /// Returns it with the place where complete orders come out.
    pub(super) fn new(
        worker: Name,
        features: u64,
        admission: watch::Receiver<WorkerAdmission>,
        core: Core,
        family: Tasks,
    ) -> (Self, mpsc::Receiver<Box<Start>>) {
        let (done, complete) = mpsc::channel(ORDERS);
        (Self { worker, features, admission, core, family, done }, complete)
    }

    /// Says whether an order lacks something yet.
    pub(super) fn is_wanted(start: &Start) -> bool {
        !start.secret_env.is_empty()
    }

    /// Reads what the order wants, now and not before; whoever changed a secret changed it for this
    /// command. Where that fails, the engine is told.
    pub(super) fn begin(&self, mut start: Box<Start>) {
        let sources = self.admission.borrow().secrets.clone();
        let is_able = self.features & feature::SECRETS != 0;
        let (worker, core, done) = (self.worker.clone(), self.core.clone(), self.done.clone());
        let cancel = self.family.cancel().clone();
        let complete = async move {
            let read = async {
                if !is_able {
                    return Err(Incomplete::Older { worker: worker.clone() });
                }
                read(&start, &sources).await
            };
            // A connection that ends makes this order void: the next one asks for it anew.
            let read = tokio::select! {
                read = read => read,
                () = cancel.cancelled() => return,
            };
            match read {
                Ok(secrets) => {
                    start.secrets = secrets;
                    // Without a reader the connection has ended.
                    drop(done.send(start).await);
                }
                Err(why) => tell(&core, worker, &start, &why).await,
            }
        };
        self.family.spawn("read secrets", complete);
    }
}

async fn tell(core: &Core, worker: Name, start: &Start, why: &Incomplete) {
    let command = wire::command_from_wire(start.command);
    warn!(worker.name = %worker, command.id = %command, "a command is not started: {why}");
    let stamp = attempt::Stamp { epoch: start.epoch, session: start.session };
    let unsent = Event::Unsent { worker, stamp, command, why: why.to_string() };
    if core.tell(unsent).await.is_err() {
        tracing::debug!("the master is ending");
    }
}

/// Reads every secret that an order names, once.
async fn read(start: &Start, sources: &SecretSources) -> Result<Vec<SecretValue>, Incomplete> {
    let pieces = start.secret_env.iter().flat_map(|variable| &variable.pieces);
    let names: BTreeSet<&String> = pieces.filter_map(|piece| piece.secret.as_ref()).collect();
    let by_text: BTreeMap<&str, _> =
        sources.iter().map(|(name, source)| (name.as_str(), source)).collect();
    let (mut secrets, mut bytes) = (Vec::new(), 0);
    for name in names {
        let gone = || Incomplete::Gone { name: name.clone() };
        let read = by_text.get(name.as_str()).ok_or_else(gone)?.read().await;
        let value = read.map_err(|source| Incomplete::Read { name: name.clone(), source })?;
        bytes += value.expose().len();
        if bytes > MOST_BYTES_TOGETHER {
            return Err(Incomplete::Long);
        }
        secrets.push(SecretValue { name: name.clone(), value });
    }
    Ok(secrets)
}
