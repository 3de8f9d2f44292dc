//! The list of acts, by the process that does them.

/// A program, or a part of one that lives and dies by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Process {
    Master,
    Worker,
    Spawner,
    Shim,
    Client,
    /// `master db`, by hand.
    Db,
}

macro_rules! acts {
    ($($process:ident { $($(#[$doc:meta])* $act:ident = $name:literal,)+ })+) => {
        /// Something a process does that outlives it, or that another one sees.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Act {
            $($($(#[$doc])* $act,)+)+
        }

        impl Act {
            /// Every act there is.
            pub const ALL: &'static [Self] = &[$($(Self::$act,)+)+];

            /// Returns its name, which begins with its process.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Self::$act => $name,)+)+
                }
            }

            /// Returns who does it.
            pub const fn process(self) -> Process {
                match self {
                    $($(Self::$act)|+ => Process::$process,)+
                }
            }
        }
    };
}

acts! {
    Master {
        /// What the last master left in the write-ahead log is on the disk for certain.
        LogRenew = "master.log.renew",
        /// The commit of a start, which raises the epoch.
        EpochCommit = "master.epoch.commit",
        /// The commit of what the engine decided.
        BatchCommit = "master.batch.commit",
        /// The statements of one step of the schema, inside its transaction.
        MigrationScript = "master.migration.script",
        MigrationCommit = "master.migration.commit",
        /// The commit of rows that belong to no batch: sealed logs.
        NoteCommit = "master.note.commit",
        /// The answer to a submission is known to whoever waits for it.
        Answer = "master.answer",
        Start = "master.start",
        Stop = "master.stop",
        FinalAck = "master.final_ack",
        SealOrder = "master.seal_order",
        /// Another configuration goes to the engine, and is in force.
        Reconfigured = "master.reconfigured",
        /// Orders and answers go to a worker.
        WorkerWrite = "master.worker.write",
        Welcome = "master.welcome",
        /// A worker that attaches goes to the engine.
        AttachTaken = "master.attach",
        /// The positions of the logs are told.
        Attached = "master.attached",
        /// A report goes to the engine.
        Reported = "master.reported",
        /// The file of a log is found, or will be made.
        LogOpen = "master.log.open",
        LogAppend = "master.log.append",
        /// The acknowledgement of log bytes.
        LogCredit = "master.log.credit",
        SealWrite = "master.seal.write",
        SealSync = "master.seal.sync",
        SealRename = "master.seal.rename",
        SealFolder = "master.seal.folder",
        /// The living form of a log goes.
        LogRetire = "master.log.retire",
        /// The engine is told that a log is sealed.
        LogSealed = "master.log.sealed",
        /// Anything is told to a client.
        ClientWrite = "master.client.write",
        /// A client is told that its submission was accepted.
        Accepted = "master.accepted",
        /// A client is told the end.
        Ended = "master.ended",
        /// New commits come into the mirror of a repository.
        GitFetch = "master.git.fetch",
        /// They go to the engine, with the heads they are up to.
        GitPolled = "master.git.polled",
    }
    Worker {
        /// Small files that are kept: the epoch, the ids of the spool and the boot.
        KeepSync = "worker.keep.sync",
        KeepRename = "worker.keep.rename",
        KeepFolder = "worker.keep.folder",
        SpoolDirectory = "worker.spool.directory",
        SpecWrite = "worker.spec.write",
        SpecRename = "worker.spec.rename",
        /// A command goes to a spawner.
        HandOver = "worker.hand_over",
        Call = "worker.connect",
        Hello = "worker.hello",
        TakeWelcome = "worker.take_welcome",
        Attach = "worker.attach",
        /// The positions of the logs are taken in.
        TakeAttached = "worker.take_attached",
        /// Orders go to the loop that owns the commands.
        TakeStart = "worker.take_start",
        TakeStop = "worker.take_stop",
        TakeFinalAck = "worker.take_final_ack",
        /// The acknowledgement of log bytes.
        TakeCredit = "worker.take_credit",
        Report = "worker.report",
        StreamOpen = "worker.stream.open",
        StreamData = "worker.stream.data",
        /// Anything goes to the master.
        MasterWrite = "worker.master.write",
        /// The end of a command is taken in.
        CommandEnd = "worker.command.end",
        /// A supervisor is asked to stop its command.
        StopRequest = "worker.stop_request",
        /// The directory of a command goes.
        Forget = "worker.forget",
        /// It passes to the next command.
        Recycle = "worker.recycle",
    }
    Spawner {
        ForkSupervisor = "spawner.fork",
    }
    Shim {
        Intent = "shim.intent",
        Control = "shim.control",
        GroupMake = "shim.group.make",
        ForkCommand = "shim.fork",
        StartedWrite = "shim.started.write",
        StartedRename = "shim.started.rename",
        TellStarted = "shim.tell_started",
        Gate = "shim.gate",
        OutputWrite = "shim.output.write",
        TellOutput = "shim.tell_output",
        /// What the command left behind is ended.
        TreeEnd = "shim.tree.end",
        OutputSync = "shim.output.sync",
        ExitSync = "shim.exit.sync",
        ExitRename = "shim.exit.rename",
        ExitFolder = "shim.exit.folder",
        TellExited = "shim.tell_exited",
        GroupRemove = "shim.group.remove",
    }
    Client {
        /// A connection to the master is made.
        Connect = "client.connect",
        Launch = "client.launch",
        /// Follows again after a lost connection.
        Follow = "client.follow",
        Cancel = "client.cancel",
        TakeAccepted = "client.accepted",
        Print = "client.print",
        TakeEnded = "client.ended",
        StatusRename = "client.status.rename",
    }
    Db {
        BackupCopy = "db.backup.copy",
        /// The table that makes a copy a backup.
        BackupTable = "db.backup.table",
        BackupSeal = "db.backup.seal",
        BackupSync = "db.backup.sync",
        BackupLink = "db.backup.link",
        BackupFolder = "db.backup.folder",
        /// The copy of a backup lies beside the database.
        RestoreCopy = "db.restore.copy",
        /// The adopted copy is on disk.
        RestoreSync = "db.restore.sync",
        /// From here on the restored database is the one that counts.
        SwapDecide = "db.swap.decide",
        SwapDecideFolder = "db.swap.decide_folder",
        /// A file of the database before is put aside.
        SwapKeep = "db.swap.keep",
        SwapKeepFolder = "db.swap.keep_folder",
        SwapPlace = "db.swap.place",
        SwapPlaceFolder = "db.swap.place_folder",
        /// A log that the restored database does not know is put aside.
        LogAside = "db.log.aside",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_begin_with_their_process() {
        let mut names: Vec<&str> = Act::ALL.iter().map(|act| act.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Act::ALL.len());
        for act in Act::ALL {
            let process = format!("{:?}.", act.process()).to_lowercase();
            assert!(act.name().starts_with(&process), "{}", act.name());
        }
    }
}
