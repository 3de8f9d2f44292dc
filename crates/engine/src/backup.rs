//! What a restored backup means: everything in it may have gone on, and ended, since it was made.
//!
//! Invariants, for whatever happened between the backup and its restore:
//! - No id is given out twice: every counter leaves a gap.
//! - Nothing that may have run is run again. A command that its worker still runs goes on; every
//!   other one, and what was to follow upon it, ends as lost.

use attempt::master::State;

use crate::durable::Durable;
use crate::id::{BuildId, RequestId};
use crate::result::{BuildResult, Exit, exit_code};
use crate::row::{RequestState, Rows, StepProgress, StepState, Write};

/// More ids and numbers than are given out between a backup and its restore.
pub const GAP: i64 = 1_000_000;

const REASON: &str = "the database was restored from a backup made before its end; it may have run";
pub(crate) const SKIPPED: &str = "it may have run before the database was restored";

/// What becomes of requests, stable timers and builds that had no command when the backup was
/// made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// They end: they may have run since.
    End,
    /// They run: somebody knows that they did not, or that twice does no harm.
    Run,
}

/// Returns the rows that make a backup's living rows safe to go on from.
pub fn after_backup(rows: Rows, unfinished: Unfinished, wall_us: i64) -> Vec<Write> {
    let mut durable = Durable::restore(rows);
    durable.raise_counters(GAP);
    doubt_commands(&mut durable);
    if unfinished == Unfinished::End {
        disarm_timers(&mut durable);
        end_queue(&mut durable, wall_us);
        end_idle_builds(&mut durable, wall_us);
    }
    durable.drain()
}

fn doubt_commands(durable: &mut Durable) {
    let ids: Vec<_> = durable.commands().map(crate::row::Command::id).collect();
    for id in ids {
        if let Some(command) = durable.commands.edit(&id) {
            command.half.doubt();
        }
    }
}

fn disarm_timers(durable: &mut Durable) {
    let keys: Vec<_> =
        durable.pending.iter().map(|row| (row.scheduler.clone(), row.lane.clone())).collect();
    for key in keys {
        let changes = durable.pending.edit(&key).map(|row| std::mem::take(&mut row.changes));
        for change in changes.into_iter().flatten() {
            durable.release(change);
        }
    }
}

fn end_queue(durable: &mut Durable, wall_us: i64) {
    let waiting: Vec<RequestId> = durable
        .requests()
        .filter(|request| matches!(request.state, RequestState::Waiting))
        .map(|request| request.id)
        .collect();
    for request in waiting {
        end(durable, request, wall_us);
    }
}

/// Ends the builds that were between two steps.
fn end_idle_builds(durable: &mut Durable, wall_us: i64) {
    let is_doubtful = |build: BuildId| {
        let mut commands = durable.commands().filter(|command| command.build == build);
        commands.any(|command| matches!(command.half.state, State::Doubtful { .. }))
    };
    let idle: Vec<(BuildId, RequestId)> = durable
        .builds()
        .filter(|build| !is_doubtful(build.id))
        .map(|build| (build.id, build.request))
        .collect();
    for (id, request) in idle {
        let steps = durable.build(id).map_or(0, |build| build.steps.len());
        for step in (0u32..).take(steps) {
            durable.edit_step(id, step, |step| skip(step, wall_us));
        }
        durable.end_build(id, BuildResult::Exception, wall_us);
        end(durable, request, wall_us);
    }
}

fn skip(step: &mut StepProgress, wall_us: i64) {
    if matches!(step.state, StepState::Waiting | StepState::Blocked { .. }) {
        step.state = StepState::Done { result: BuildResult::Skipped, exit: Exit::Ours(0) };
        SKIPPED.clone_into(&mut step.detail);
        step.ended_us = Some(wall_us);
    }
}

/// Ends a request with all that were merged into it.
fn end(durable: &mut Durable, request: RequestId, wall_us: i64) {
    let merged: Vec<RequestId> = durable.index().merged_into(request).collect();
    for request in merged.into_iter().chain([request]) {
        durable.set_request_state(request, lost(wall_us));
    }
}

fn lost(ended_us: i64) -> RequestState {
    RequestState::Done {
        result: BuildResult::Exception,
        reason: REASON.to_owned(),
        exit_code: exit_code::UNKNOWN_OUTCOME,
        ended_us,
    }
}
