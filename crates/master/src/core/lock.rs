//! Lists the locks from the committed state.

use engine::Engine;
use engine::lock::{Holder, LockView, LockWaiter};
use proto::message::question::{LockHolderLine, LockLine, LockWaiterLine};

/// Lists every lock that is configured or held.
pub(super) fn lines(engine: &Engine) -> Vec<LockLine> {
    engine.locks().iter().map(line).collect()
}

fn line(lock: &LockView) -> LockLine {
    let definition = lock.definition.as_ref();
    let for_worker = definition.into_iter().flat_map(|lock| &lock.max_for_worker);
    LockLine {
        name: lock.name.to_string(),
        scope: definition.map(|lock| lock.scope.to_string()).unwrap_or_default(),
        max: definition.map_or(0, |lock| lock.max),
        max_for_worker: for_worker.map(|(name, max)| (name.to_string(), *max)).collect(),
        holders: lock.holders.iter().map(holder).collect(),
        waiters: lock.waiters.iter().map(waiter).collect(),
    }
}

fn holder(holder: &Holder) -> LockHolderLine {
    LockHolderLine {
        request: holder.request.as_ref().map(ToString::to_string).unwrap_or_default(),
        step: holder.step.as_ref().map(ToString::to_string).unwrap_or_default(),
        worker: holder.worker.to_string(),
        access: holder.access.to_string(),
        since_us: holder.since_us,
    }
}

fn waiter(waiter: &LockWaiter) -> LockWaiterLine {
    match waiter {
        LockWaiter::Step { request, worker, step, access, since_us } => LockWaiterLine {
            request: request.to_string(),
            step: step.to_string(),
            worker: worker.to_string(),
            access: access.to_string(),
            since_us: *since_us,
            behind: 0,
        },
        LockWaiter::Line { request, behind, access, since_us } => LockWaiterLine {
            request: request.to_string(),
            step: String::new(),
            worker: String::new(),
            access: access.to_string(),
            since_us: *since_us,
            behind: *behind as u64,
        },
    }
}
