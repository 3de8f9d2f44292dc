//! Deliberate bugs of the master's shell and store. Each has to be seen by the checks; one that
//! is not shows a check that is missing.

use engine::row::{RequestState, Rows};
use engine::{Event, Write};

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Actions are performed although their rows were never stored.
    ActBeforeCommit,
    /// A command is sent again after the worker was told to forget it.
    DoubleStart,
    /// Deadlines are not told to the engine.
    LostWakeUp,
    /// Followers are not told of changes.
    DeafFollowers,
    /// Logs are called complete before they are.
    SealTooEarly,
    /// A connection that is introduced late counts as the newest.
    StaleAttach,
    /// A worker is given more builds than it takes.
    Overfull,
    /// The second half of a transaction is not stored.
    TornTransaction,
    /// What ran is put back into the queue at a start.
    Requeued,
    /// Waiting requests are not loaded at a start.
    Vanished,
    /// Counters begin again at a start.
    ReusedIds,
    /// A kind of row is not stored.
    ForgottenRow(Kind),
    /// A column is not loaded.
    ForgottenColumn(Column),
}

/// A kind of row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Change,
    Heads,
    Pending,
    Key,
    Request,
    Build,
    Command,
    Revision,
}

/// A column that the simulation gives different values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    ChangeHolders,
    ChangeLaunch,
    ChangeBranch,
    Heads,
    PendingChanges,
    PendingArmed,
    RequestOnDisconnect,
    RequestOwner,
    RequestChanges,
    RequestProperties,
    RequestPriority,
    RequestScheduler,
    RequestCollapses,
    RequestWaits,
    BuildProperties,
    BuildSlot,
    BuildSteps,
    BuildStopReason,
    CommandPlace,
    CommandSlot,
    CommandLocks,
    CommandState,
    CommandPart,
    CommandAttempt,
    CommandBegan,
    CommandEnded,
}

impl Mutant {
    pub(crate) const ALL: &[Self] = &[
        Self::ActBeforeCommit,
        Self::DoubleStart,
        Self::LostWakeUp,
        Self::DeafFollowers,
        Self::SealTooEarly,
        Self::StaleAttach,
        Self::Overfull,
        Self::TornTransaction,
        Self::Requeued,
        Self::Vanished,
        Self::ReusedIds,
        Self::ForgottenRow(Kind::Counter),
        Self::ForgottenRow(Kind::Change),
        Self::ForgottenRow(Kind::Heads),
        Self::ForgottenRow(Kind::Pending),
        Self::ForgottenRow(Kind::Key),
        Self::ForgottenRow(Kind::Request),
        Self::ForgottenRow(Kind::Build),
        Self::ForgottenRow(Kind::Command),
        Self::ForgottenRow(Kind::Revision),
        Self::ForgottenColumn(Column::ChangeHolders),
        Self::ForgottenColumn(Column::ChangeLaunch),
        Self::ForgottenColumn(Column::ChangeBranch),
        Self::ForgottenColumn(Column::Heads),
        Self::ForgottenColumn(Column::PendingChanges),
        Self::ForgottenColumn(Column::PendingArmed),
        Self::ForgottenColumn(Column::RequestOnDisconnect),
        Self::ForgottenColumn(Column::RequestOwner),
        Self::ForgottenColumn(Column::RequestChanges),
        Self::ForgottenColumn(Column::RequestProperties),
        Self::ForgottenColumn(Column::RequestPriority),
        Self::ForgottenColumn(Column::RequestScheduler),
        Self::ForgottenColumn(Column::RequestCollapses),
        Self::ForgottenColumn(Column::RequestWaits),
        Self::ForgottenColumn(Column::BuildProperties),
        Self::ForgottenColumn(Column::BuildSlot),
        Self::ForgottenColumn(Column::BuildSteps),
        Self::ForgottenColumn(Column::BuildStopReason),
        Self::ForgottenColumn(Column::CommandPlace),
        Self::ForgottenColumn(Column::CommandSlot),
        Self::ForgottenColumn(Column::CommandLocks),
        Self::ForgottenColumn(Column::CommandState),
        Self::ForgottenColumn(Column::CommandPart),
        Self::ForgottenColumn(Column::CommandAttempt),
        Self::ForgottenColumn(Column::CommandBegan),
        Self::ForgottenColumn(Column::CommandEnded),
    ];

    /// Bends an event on its way to the engine.
    pub(crate) fn bend(self, mut event: Event) -> Event {
        if let Event::WorkerAttached { max_builds, .. } = &mut event
            && self == Self::Overfull
        {
            *max_builds += 1;
        }
        event
    }

    /// Spoils what is stored.
    pub(crate) fn spoil_transaction(self, writes: &mut Vec<Write>) {
        if self == Self::TornTransaction {
            writes.truncate(writes.len().div_ceil(2));
        }
        if let Self::ForgottenRow(kind) = self {
            writes.retain(|write| kind_of(write) != kind);
        }
    }

    /// Spoils what is loaded.
    pub(crate) fn spoil_load(self, rows: &mut Rows) {
        match self {
            Self::Requeued => {
                for request in &mut rows.requests {
                    request.state = RequestState::Waiting;
                }
            }
            Self::Vanished => {
                rows.requests.retain(|request| !matches!(request.state, RequestState::Waiting));
            }
            Self::ReusedIds => rows.counters.clear(),
            Self::ForgottenColumn(column) => column.forget(rows),
            Self::ActBeforeCommit
            | Self::DoubleStart
            | Self::LostWakeUp
            | Self::DeafFollowers
            | Self::SealTooEarly
            | Self::StaleAttach
            | Self::Overfull
            | Self::TornTransaction
            | Self::ForgottenRow(_) => {}
        }
    }
}

fn kind_of(write: &Write) -> Kind {
    match write {
        Write::Counter(_) => Kind::Counter,
        Write::Change(_) => Kind::Change,
        Write::SourceHeads(_) => Kind::Heads,
        Write::Pending(_) => Kind::Pending,
        Write::SubmissionKey(_) => Kind::Key,
        Write::Revision(_) => Kind::Revision,
        Write::Request(_) => Kind::Request,
        Write::Build(_) => Kind::Build,
        Write::Command(_) => Kind::Command,
    }
}

impl Column {
    fn forget(self, rows: &mut Rows) {
        match self {
            Self::ChangeHolders => rows.changes.iter_mut().for_each(|row| row.holders = 1),
            Self::ChangeLaunch => rows.changes.iter_mut().for_each(|row| row.launch = None),
            Self::ChangeBranch => rows.changes.iter_mut().for_each(|row| row.branch = None),
            Self::Heads => rows.heads.iter_mut().for_each(|row| row.heads.clear()),
            Self::PendingChanges => {
                rows.pending.iter_mut().for_each(|row| row.changes.truncate(1));
            }
            Self::PendingArmed => rows.pending.iter_mut().for_each(|row| row.armed_us = 0),
            Self::RequestOnDisconnect => rows
                .requests
                .iter_mut()
                .for_each(|row| row.on_disconnect = engine::row::OnDisconnect::Keep),
            Self::RequestOwner => rows.requests.iter_mut().for_each(|row| row.owner.clear()),
            Self::RequestChanges => {
                rows.requests.iter_mut().for_each(|row| row.changes = vec![row.change]);
            }
            Self::RequestProperties => {
                rows.requests.iter_mut().for_each(|row| row.properties.clear());
            }
            Self::RequestPriority => rows.requests.iter_mut().for_each(|row| row.priority = 0),
            Self::RequestScheduler => rows.requests.iter_mut().for_each(|row| row.scheduler = None),
            Self::RequestCollapses => {
                rows.requests.iter_mut().for_each(|row| row.collapses = false);
            }
            Self::RequestWaits => {
                rows.requests.iter_mut().for_each(|row| row.waits = engine::Waits::default());
            }
            Self::BuildProperties => {
                rows.builds.iter_mut().for_each(|row| row.properties.clear());
            }
            Self::BuildSlot => rows.builds.iter_mut().for_each(|row| row.slot = 0),
            Self::BuildSteps => rows.builds.iter_mut().for_each(|row| {
                row.steps.fill(engine::row::StepProgress::waiting());
            }),
            Self::BuildStopReason => {
                rows.builds.iter_mut().for_each(|row| row.stop_reason = None);
            }
            Self::CommandPlace => {
                rows.commands.iter_mut().for_each(|row| row.half.place.spool_id.clear());
            }
            Self::CommandSlot => rows.commands.iter_mut().for_each(|row| row.slot = 0),
            Self::CommandLocks => rows.commands.iter_mut().for_each(|row| row.locks.clear()),
            Self::CommandState => rows.commands.iter_mut().for_each(|row| {
                row.half.state = attempt::master::State::Assigned { stop: None };
            }),
            Self::CommandPart => rows.commands.iter_mut().for_each(|row| row.part = 0),
            Self::CommandAttempt => rows.commands.iter_mut().for_each(|row| row.attempt = 1),
            Self::CommandBegan => rows.commands.iter_mut().for_each(|row| row.began_us = None),
            Self::CommandEnded => rows.commands.iter_mut().for_each(|row| row.ended_us = None),
        }
    }
}
