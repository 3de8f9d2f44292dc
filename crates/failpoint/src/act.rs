//! The list of acts, by the process that does them.

/// A program, or a part of one that lives and dies by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Process {
    Master,
    Worker,
    Spawner,
    Shim,
    Client,
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
        /// The commit of rows that belong to no batch: sealed logs.
        NoteCommit = "master.note.commit",
        /// The answer to a submission is known to whoever waits for it.
        Answer = "master.answer",
        Start = "master.start",
        Stop = "master.stop",
        FinalAck = "master.final_ack",
        SealOrder = "master.seal_order",
        /// Orders and answers go to a worker.
        WorkerWrite = "master.worker.write",
        Welcome = "master.welcome",
        /// The positions of the logs are told.
        Attached = "master.attached",
        /// A report goes to the engine.
        Reported = "master.reported",
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
        Hello = "worker.hello",
        Attach = "worker.attach",
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
    }
    Spawner {
        ForkSupervisor = "spawner.fork",
    }
    Shim {
        Intent = "shim.intent",
        Control = "shim.control",
        ForkCommand = "shim.fork",
        StartedWrite = "shim.started.write",
        StartedRename = "shim.started.rename",
        TellStarted = "shim.tell_started",
        Gate = "shim.gate",
        OutputWrite = "shim.output.write",
        TellOutput = "shim.tell_output",
        OutputSync = "shim.output.sync",
        ExitSync = "shim.exit.sync",
        ExitRename = "shim.exit.rename",
        ExitFolder = "shim.exit.folder",
        TellExited = "shim.tell_exited",
    }
    Client {
        Launch = "client.launch",
        /// Follows again after a lost connection.
        Follow = "client.follow",
        Cancel = "client.cancel",
        TakeAccepted = "client.accepted",
        Print = "client.print",
        TakeEnded = "client.ended",
        StatusRename = "client.status.rename",
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
