//! Which logs are being completed, and up to where: one hand per command, however often it is
//! ordered.
//!
//! A command's log is ordered again when the engine's state was loaded anew, and with a smaller
//! length when the rest of the log is lost. Both reach whoever has the hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attempt::CommandId;
use tokio::sync::watch;

/// The orders in hand.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    in_hand: Arc<Mutex<BTreeMap<CommandId, watch::Sender<u64>>>>,
}

/// One command's order. Dropped, it may be given to another hand.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) command: CommandId,
    /// How much of the log is to come, as ordered last.
    pub(super) log_bytes: watch::Receiver<u64>,
    orders: Orders,
}

impl Orders {
    /// Takes an order; `None` where somebody has it in hand already and was told of the length.
    pub(super) fn take(&self, command: CommandId, log_bytes: u64) -> Option<Order> {
        let mut in_hand = self.lock();
        if let Some(before) = in_hand.get(&command) {
            before.send_replace(log_bytes);
            return None;
        }
        let (sender, log_bytes) = watch::channel(log_bytes);
        in_hand.insert(command, sender);
        Some(Order { command, log_bytes, orders: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CommandId, watch::Sender<u64>>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        self.orders.lock().remove(&self.command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_one_hand_which_hears_of_another_length_until_it_lets_go() {
        let (command, orders) = (CommandId { incarnation: 7, counter: 1 }, Orders::default());
        let order = orders.take(command, 9).expect("nobody has it");
        assert!(orders.take(command, 4).is_none());
        assert_eq!(*order.log_bytes.borrow(), 4);
        let other = CommandId { counter: 2, ..command };
        assert!(orders.take(other, 1).is_some());
        drop(order);
        assert!(orders.take(command, 9).is_some());
    }
}
