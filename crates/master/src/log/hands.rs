//! One hand per command: who has it is alone with that command's files.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use attempt::CommandId;

/// The hands that are busy.
#[derive(Debug, Default)]
pub(super) struct Hands {
    busy: Mutex<BTreeSet<CommandId>>,
    freed: Condvar,
}

/// Being alone with a command's files, until it is dropped.
#[derive(Debug)]
pub(super) struct Hand<'a> {
    hands: &'a Hands,
    command: CommandId,
}

impl Hands {
    /// Waits until nobody else has the command's hand, and takes it.
    pub(super) fn wait_for(&self, command: CommandId) -> Hand<'_> {
        let busy = self.lock();
        let is_taken = |busy: &mut BTreeSet<CommandId>| busy.contains(&command);
        let free = self.freed.wait_while(busy, is_taken);
        free.unwrap_or_else(PoisonError::into_inner).insert(command);
        Hand { hands: self, command }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<CommandId>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        self.hands.lock().remove(&self.command);
        self.hands.freed.notify_all();
    }
}
