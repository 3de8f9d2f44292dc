//! What brings a process to a failpoint.

use failpoint::Act;

/// What has to happen, beside launches of all kinds, for an act to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lure {
    Launches,
    RestartMaster,
    /// It is killed before: what SQLite had not folded into its database stays.
    CrashMaster,
    RestartWorker,
    /// A caller dies whose command ends with it.
    LoseCaller,
    /// Such a caller is asked to leave.
    Interrupt,
    /// A commit is pushed.
    Push,
    /// None of these: it is not on the way of a command. See `care`.
    Care,
}

impl Lure {
    /// Returns what an act needs.
    pub(crate) fn of(act: Act) -> Self {
        match act {
            Act::LogRenew => Self::CrashMaster,
            Act::EpochCommit | Act::KeepSync | Act::KeepRename | Act::KeepFolder | Act::Follow => {
                Self::RestartMaster
            }
            Act::Welcome
            | Act::AttachTaken
            | Act::Attached
            | Act::Call
            | Act::Hello
            | Act::TakeWelcome
            | Act::Attach
            | Act::TakeAttached
            | Act::Control => Self::RestartWorker,
            Act::Stop | Act::TakeStop | Act::StopRequest => Self::LoseCaller,
            Act::Cancel => Self::Interrupt,
            Act::GitFetch | Act::GitPolled => Self::Push,
            Act::MigrationScript
            | Act::MigrationCommit
            | Act::BackupCopy
            | Act::BackupTable
            | Act::BackupSeal
            | Act::BackupSync
            | Act::BackupLink
            | Act::BackupFolder
            | Act::RestoreCopy
            | Act::RestoreSync
            | Act::SwapDecide
            | Act::SwapDecideFolder
            | Act::SwapKeep
            | Act::SwapKeepFolder
            | Act::SwapPlace
            | Act::SwapPlaceFolder
            | Act::LogAside
            | Act::Reconfigured => Self::Care,
            Act::BatchCommit
            | Act::NoteCommit
            | Act::Answer
            | Act::Start
            | Act::FinalAck
            | Act::SealOrder
            | Act::WorkerWrite
            | Act::Reported
            | Act::LogOpen
            | Act::LogAppend
            | Act::LogCredit
            | Act::SealWrite
            | Act::SealSync
            | Act::SealRename
            | Act::SealFolder
            | Act::LogRetire
            | Act::LogSealed
            | Act::ClientWrite
            | Act::Accepted
            | Act::Ended
            | Act::SpoolDirectory
            | Act::SpecWrite
            | Act::SpecRename
            | Act::HandOver
            | Act::TakeStart
            | Act::TakeFinalAck
            | Act::TakeCredit
            | Act::Report
            | Act::StreamOpen
            | Act::StreamData
            | Act::MasterWrite
            | Act::CommandEnd
            | Act::Forget
            | Act::Recycle
            | Act::ForkSupervisor
            | Act::Intent
            | Act::GroupMake
            | Act::GroupRemove
            | Act::TreeEnd
            | Act::ForkCommand
            | Act::StartedWrite
            | Act::StartedRename
            | Act::TellStarted
            | Act::Gate
            | Act::OutputWrite
            | Act::TellOutput
            | Act::OutputSync
            | Act::ExitSync
            | Act::ExitRename
            | Act::ExitFolder
            | Act::TellExited
            | Act::Connect
            | Act::Launch
            | Act::TakeAccepted
            | Act::Print
            | Act::TakeEnded
            | Act::StatusRename => Self::Launches,
        }
    }

    /// Says whether commands have to run for a while for it.
    pub(crate) fn needs_long_commands(self, act: Act) -> bool {
        matches!(self, Self::LoseCaller | Self::Interrupt)
            || matches!(act, Act::Follow | Act::Control)
    }
}
