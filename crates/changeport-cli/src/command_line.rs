//! `changeport VERB …`. A launcher never comes here.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::notice::{Complaint, Speaker};
use crate::settings::{Patience, Settings};
use crate::socket::Master;
use crate::verb::{logs, run, send, status, stop, wait};
use crate::{OWN_NAME, exit};

const ENVIRONMENT: &str = "\
CHANGEPORT_MASTER says where the master is (default: unix:/run/yardmaster/change.sock),
CHANGEPORT_TOKEN_FILE holds a token for masters that are called over TCP,
CHANGEPORT_ENV=NAME,PREFIX*,… sends more variables along without being asked,
CHANGEPORT_WAIT=no|TIME limits the wait for a start, CHANGEPORT_QUIET=1 silences all but errors,
CHANGEPORT_STATUS=FILE gets a JSON object that says whose the exit code is.

An app gets the variables that its administrator lists. DISPLAY, XAUTHORITY, LANG, LANGUAGE, LC_*,
TERM, TZ, COLORTERM and NO_COLOR go to the master with every launch, others when it asks for them.";

/// Calls programs that a Yardmaster master runs on its workers.
#[derive(Debug, Parser)]
#[command(name = "changeport", version = proto::VERSION, about, after_help = ENVIRONMENT)]
struct Arguments {
    /// Where the master is: `unix:/PATH` or `tcp:HOST:PORT`.
    #[arg(long, global = true)]
    master: Option<OsString>,
    /// Say nothing but errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run an app and follow it: its output, its exit code.
    Run {
        /// Print the id and leave.
        #[arg(long)]
        detach: bool,
        /// Exit with 75 if it cannot start at once.
        #[arg(long, conflicts_with = "detach")]
        no_wait: bool,
        app: String,
        /// Passed on byte for byte; after `--` whatever they look like.
        arguments: Vec<OsString>,
    },
    /// Queue an app and print the id: the same as `run --detach`.
    Submit {
        app: String,
        /// Passed on byte for byte; after `--` whatever they look like.
        arguments: Vec<OsString>,
    },
    /// Submit a plain change.
    Send(send::Options),
    /// Say where a request is, or what of yours runs, waits and ended last.
    Status {
        id: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// Wait for requests and exit with the first code that is not 0.
    Wait {
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Print the output of a request, or of one step: `ci#42` or `ci#42/test`.
    Logs {
        id: String,
        /// Go on until it ends.
        #[arg(long, short)]
        follow: bool,
    },
    /// End a request, waiting or running.
    Stop {
        id: String,
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// Runs the command line and returns what to exit with.
pub(crate) fn main(arguments: impl Iterator<Item = OsString>) -> u8 {
    let all = std::iter::once(OsString::from(OWN_NAME)).chain(arguments);
    let arguments = match Arguments::try_parse_from(all) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; what cannot be printed cannot be helped.
            drop(error.print());
            return if error.use_stderr() { exit::BAD_REQUEST } else { 0 };
        }
    };
    obey(arguments).unwrap_or_else(|complaint| {
        Speaker::new(OWN_NAME, false).complain(&complaint);
        complaint.code
    })
}

fn obey(arguments: Arguments) -> Result<u8, Complaint> {
    let mut settings = Settings::from_environment()?;
    settings.is_quiet |= arguments.quiet;
    if let Some(master) = &arguments.master {
        settings.address.master = Master::parse(master)?;
    }
    match arguments.verb {
        Verb::Run { detach, no_wait, app, arguments } => {
            if detach {
                settings.patience = Patience::Detach;
            } else if no_wait {
                settings.patience = Patience::None;
            }
            Ok(run::launch_with(&settings, &app, arguments.into_iter()))
        }
        Verb::Submit { app, arguments } => {
            settings.patience = Patience::Detach;
            Ok(run::launch_with(&settings, &app, arguments.into_iter()))
        }
        Verb::Send(options) => send::main(&settings, options),
        Verb::Status { id, json } => status::main(&settings, id, json),
        Verb::Wait { ids } => wait::main(&settings, &ids),
        Verb::Logs { id, follow } => logs::main(&settings, &id, follow),
        Verb::Stop { id, reason } => stop::main(&settings, id, reason),
    }
}
