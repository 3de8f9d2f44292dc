//! Completes logs: waits for their last byte, seals, tells the store, then the engine.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use attempt::CommandId;
use engine::Event;
use failpoint::Act;
use tokio::sync::{mpsc, watch};
use tracing::error;

use super::lanes::Lanes;
use super::orders::{Order, Orders};
use super::seal::Sealed;
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
    shelf: Arc<Shelf>,
    store: Arc<Store>,
    core: Core,
    tasks: Tasks,
    orders: Orders,
    lanes: Arc<Lanes>,
}

impl Keeper {
    /// Makes a keeper of the logs on a shelf.
    pub fn new(shelf: Arc<Shelf>, store: Arc<Store>, core: Core, tasks: Tasks) -> Self {
        let (orders, lanes) = (Orders::default(), Arc::default());
        Self { shelf, store, core, tasks, orders, lanes }
    }

    /// Takes orders until the engine's loop ends.
    pub async fn run(self, mut wanted: mpsc::Receiver<(CommandId, u64)>) {
        while let Some((command, log_bytes)) = wanted.recv().await {
            let Some(order) = self.orders.take(command, log_bytes) else { continue };
            if log_bytes == 0 && self.shelf.is_empty(command) {
                self.finish(order).await;
                continue;
            }
            let keeper = self.clone();
            self.tasks.spawn("seal", async move {
                let cancel = keeper.tasks.cancel().clone();
                // Dropping a seal half-way is safe: the order comes again at the next start.
                tokio::select! {
                    () = keeper.complete(order) => {}
                    () = cancel.cancelled() => {}
                }
            });
        }
    }

    /// Completes a log, however often it takes: a full disk has room again some time.
    async fn complete(&self, mut order: Order) {
        let mut was_said = false;
        while let Err(problem) = self.try_complete(&mut order).await {
            if !was_said {
                error!(
                    command.id = %order.command,
                    "{problem:#}: free space or repair the disk; it is tried again until then"
                );
                was_said = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.finish(order).await;
    }

    async fn try_complete(&self, order: &mut Order) -> anyhow::Result<()> {
        let command = order.command;
        let shelf = self.shelf.clone();
        let live = threads::blocking(move || shelf.live(command)).await;
        let Some(live) = live.context("open a log")?? else {
            return self.note_sealed(command).await;
        };
        wait_for_last_byte(live.watch(), &mut order.log_bytes).await?;
        let place = self.lanes.enter(live.length()).await;
        drop(live);
        let shelf = self.shelf.clone();
        let sealed = threads::blocking(move || shelf.seal(command)).await;
        drop(place);
        let Some(sealed) = sealed.context("seal a log")?? else { return Ok(()) };
        self.note(command, &sealed).await
    }

    /// The log was sealed before: a start of the master came between that and the engine's
    /// knowing of it. A database that was restored from a backup does not know of it either.
    async fn note_sealed(&self, command: CommandId) -> anyhow::Result<()> {
        if self.store.log_of(command).await?.is_some() {
            return Ok(());
        }
        let shelf = self.shelf.clone();
        let sealed = threads::blocking(move || shelf.inspect(command)).await;
        self.note(command, &sealed.context("read a sealed log")??).await
    }

    async fn note(&self, command: CommandId, sealed: &Sealed) -> anyhow::Result<()> {
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

    /// Lets go of the living log, of the order, and tells. In this sequence: an order that comes
    /// from now on finds that there is nothing left to do and tells again.
    async fn finish(&self, order: Order) {
        let command = order.command;
        self.shelf.retire(command);
        drop(order);
        failpoint::before(Act::LogSealed);
        if self.core.tell(Event::LogSealed { command }).await.is_err() {
            tracing::debug!("the master is stopping; the seal is found at the next start");
        }
        failpoint::after(Act::LogSealed);
    }
}

/// Waits until a log is as long as was ordered last.
async fn wait_for_last_byte(
    mut length: watch::Receiver<u64>,
    log_bytes: &mut watch::Receiver<u64>,
) -> anyhow::Result<()> {
    loop {
        let wanted = *log_bytes.borrow_and_update();
        // Both branches are cancel-safe.
        tokio::select! {
            long_enough = length.wait_for(|length| *length >= wanted) => {
                return long_enough.map(drop).context("wait for a log");
            }
            changed = log_bytes.changed() => changed.context("wait for an order")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::record::{self, Channel};
    use tempfile::TempDir;

    use super::*;
    use crate::core::listening::{Heard, listen_in};
    use crate::store::{Start, StateUrl};

    const SMALL: CommandId = CommandId { incarnation: 7, counter: 1 };
    const LARGE: CommandId = CommandId { incarnation: 7, counter: 2 };

    struct Yard {
        keeper: Keeper,
        orders: mpsc::Sender<(CommandId, u64)>,
        heard: Heard,
        _folder: TempDir,
    }

    impl Yard {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let state = StateUrl::Sqlite(folder.path().join("state.db"));
            let opened = Store::open(&state, Start { incarnation: 7, wall_us: 1 }).await.unwrap();
            let shelf = Arc::new(Shelf::open(&folder.path().join("logs")).unwrap());
            let tasks = Tasks::default();
            let (core, heard) = listen_in(None, &tasks);
            let keeper = Keeper::new(shelf, Arc::new(opened.store), core, tasks);
            let (orders, wanted) = mpsc::channel(16);
            keeper.tasks.spawn("keeper", keeper.clone().run(wanted));
            Self { keeper, orders, heard, _folder: folder }
        }

        async fn order(&self, command: CommandId, log_bytes: usize) {
            self.orders.send((command, log_bytes as u64)).await.unwrap();
        }

        fn append(&self, command: CommandId, offset: usize, records: &[u8]) {
            let live = self.keeper.shelf.live(command).unwrap().expect("it is not sealed");
            live.append(offset as u64, records).unwrap();
        }

        /// Returns which log is said to be sealed next.
        async fn sealed(&mut self) -> Option<CommandId> {
            let patience = Duration::from_secs(30);
            let heard = tokio::time::timeout(patience, self.heard.sealed.recv()).await;
            heard.expect("a log is sealed in less")
        }

        async fn sealed_bytes(&self, command: CommandId) -> Option<usize> {
            let row = self.keeper.store.log_of(command).await.unwrap();
            row.map(|row| usize::try_from(row.record_bytes).unwrap())
        }

        /// Waits until the keeper has taken all orders.
        async fn settle(&self) {
            while self.orders.capacity() < self.orders.max_capacity() {
                tokio::task::yield_now().await;
            }
        }
    }

    fn records(count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..count {
            record::append(&mut bytes, Channel::Out, 1, &[b'x'; record::PAYLOAD_BYTES]);
        }
        bytes
    }

    #[tokio::test]
    async fn a_log_that_is_ordered_twice_is_sealed_once() {
        let mut yard = Yard::new().await;
        let records = records(1);
        yard.order(SMALL, records.len()).await;
        yard.order(SMALL, records.len()).await;
        yard.settle().await;
        yard.append(SMALL, 0, &records);
        assert_eq!(yard.sealed().await, Some(SMALL));
        yard.order(LARGE, 0).await;
        assert_eq!(yard.sealed().await, Some(LARGE));
        assert_eq!(yard.sealed_bytes(SMALL).await, Some(records.len()));
        yard.order(SMALL, records.len()).await;
        assert_eq!(yard.sealed().await, Some(SMALL), "a seal that was not heard of");
    }

    #[tokio::test]
    async fn a_log_whose_rest_is_lost_ends_where_it_is() {
        let mut yard = Yard::new().await;
        let records = records(1);
        yard.append(SMALL, 0, &records);
        yard.order(SMALL, 2 * records.len()).await;
        yard.settle().await;
        yard.order(SMALL, 0).await;
        assert_eq!(yard.sealed().await, Some(SMALL));
        assert_eq!(yard.sealed_bytes(SMALL).await, Some(records.len()));
    }

    #[tokio::test]
    async fn large_logs_hold_up_no_small_one() {
        let mut yard = Yard::new().await;
        let (small, large) = (records(1), records(20));
        yard.append(SMALL, 0, &small);
        yard.append(LARGE, 0, &large);
        let lanes = yard.keeper.lanes.clone();
        // As many large logs are being sealed as may be at once.
        let busy = [lanes.enter(u64::MAX).await, lanes.enter(u64::MAX).await];
        yard.order(LARGE, large.len()).await;
        yard.order(SMALL, small.len()).await;
        assert_eq!(yard.sealed().await, Some(SMALL));
        drop(busy);
        assert_eq!(yard.sealed().await, Some(LARGE));
        assert_eq!(yard.sealed_bytes(LARGE).await, Some(large.len()));
    }
}
