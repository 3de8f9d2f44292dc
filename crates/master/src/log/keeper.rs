//! Completes logs: waits for their last byte, seals, tells the store, then the engine.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use attempt::CommandId;
use engine::Event;
use tokio::sync::mpsc;
use tracing::error;

use super::shelf::Shelf;
use crate::core::Core;
use crate::store::{LogRow, Store};
use crate::tasks::Tasks;

/// Before a log that could not be sealed is tried again.
const PAUSE: Duration = Duration::from_secs(2);
/// Seals that wait for the keeper before the engine's loop has to.
pub const SEALS_QUEUE: usize = 4_096;

/// What sealing needs.
#[derive(Debug, Clone)]
pub struct Keeper {
    pub shelf: Arc<Shelf>,
    pub store: Arc<Store>,
    pub core: Core,
    pub tasks: Tasks,
}

impl Keeper {
    /// Takes orders until the engine's loop ends.
    pub async fn run(self, mut orders: mpsc::Receiver<(CommandId, u64)>) {
        while let Some((command, log_bytes)) = orders.recv().await {
            if log_bytes == 0 && self.shelf.position(command).is_ok_and(|length| length == 0) {
                self.shelf.retire(command);
                self.tell(command).await;
                continue;
            }
            let keeper = self.clone();
            self.tasks.spawn("seal", async move {
                let cancel = keeper.tasks.cancel().clone();
                // Dropping a seal half-way is safe: the order comes again at the next start.
                tokio::select! {
                    () = keeper.complete(command, log_bytes) => {}
                    () = cancel.cancelled() => {}
                }
            });
        }
    }

    /// Completes a log, however often it takes: a full disk has room again some time.
    async fn complete(&self, command: CommandId, log_bytes: u64) {
        let mut was_said = false;
        while let Err(problem) = self.try_complete(command, log_bytes).await {
            if !was_said {
                error!(
                    command.id = %command,
                    "{problem:#}: free space or repair the disk; it is tried again until then"
                );
                was_said = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.shelf.retire(command);
        self.tell(command).await;
    }

    async fn try_complete(&self, command: CommandId, log_bytes: u64) -> anyhow::Result<()> {
        let Some(live) = self.shelf.live(command)? else {
            // A start of the master came between the seal and the engine's knowing of it.
            return Ok(());
        };
        let mut length = live.watch();
        drop(live);
        length.wait_for(|length| *length >= log_bytes).await.context("wait for a log")?;
        let shelf = self.shelf.clone();
        let sealed = tokio::task::spawn_blocking(move || shelf.seal(command)).await;
        let Some(sealed) = sealed.context("seal a log")?? else { return Ok(()) };
        let row = LogRow {
            command,
            record_bytes: sealed.bytes,
            sealed_path: Shelf::sealed_name(command),
            sealed_bytes: sealed.size_bytes,
            sha256: sealed.sha256,
            out_bytes: sealed.out.bytes,
            err_bytes: sealed.err.bytes,
            out_lines: sealed.out.lines,
            err_lines: sealed.err.lines,
            sealed_us: crate::clock::wall_us(),
        };
        self.store.log_put(&[row]).await.context("note the sealed log")
    }

    async fn tell(&self, command: CommandId) {
        if self.core.tell(Event::LogSealed { command }).await.is_err() {
            tracing::debug!("the master is stopping; the seal is found at the next start");
        }
    }
}
