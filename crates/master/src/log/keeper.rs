//! Completes logs: waits for their last byte, seals, tells the store, then the engine.

use std::sync::Arc;

use attempt::CommandId;
use engine::Event;
use tokio::sync::mpsc;
use tracing::error;

use super::shelf::Shelf;
use crate::core::Core;
use crate::store::{LogRow, Store};
use crate::tasks::Tasks;

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

    async fn complete(&self, command: CommandId, log_bytes: u64) {
        let live = match self.shelf.live(command) {
            Ok(live) => live,
            Err(problem) => {
                return error!("{problem:#}: free space or repair the disk, then restart");
            }
        };
        let mut length = live.watch();
        if length.wait_for(|length| *length >= log_bytes).await.is_err() {
            return;
        }
        let shelf = self.shelf.clone();
        let sealed = tokio::task::spawn_blocking(move || shelf.seal(command)).await;
        let row = match sealed {
            Ok(Ok(sealed)) => sealed,
            Ok(Err(problem)) => return error!("{problem:#}: the log stays in its living form"),
            Err(problem) => return error!("sealing did not finish: {problem}"),
        };
        if let Some(sealed) = row {
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
            if let Err(problem) = self.store.log_put(&[row]).await {
                return error!("note the sealed log: {problem:#}");
            }
        }
        self.shelf.retire(command);
        self.tell(command).await;
    }

    async fn tell(&self, command: CommandId) {
        if self.core.tell(Event::LogSealed { command }).await.is_err() {
            tracing::debug!("the master is stopping; the seal is found at the next start");
        }
    }
}
