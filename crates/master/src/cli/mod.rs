//! The command line of `master`, one file per command.

mod builds;
mod check;
mod configuration;
mod connect;
mod db;
mod explain;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod give_up;
mod locks;
mod logs;
mod plan;
mod queue;
mod run;
mod set_priority;
mod status;
mod stop;
mod table;
mod terminal;
mod token;
mod why;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use proto::message::hello::Refusal;
use proto::message::launch::GiveUp;

use crate::settings::FilesError;

/// Exit code for a command line or question that makes no sense, such as an unknown id. Source:
/// `sysexits.h`.
const EXIT_USAGE: u8 = 64;
/// Exit code for data that is damaged.
const EXIT_DATA: u8 = 65;
/// Exit code for a configuration that cannot be used.
pub(crate) const EXIT_CONFIG: u8 = 78;
/// Exit code for a master that cannot be reached.
const EXIT_UNAVAILABLE: u8 = 69;
/// Exit code for a bug of this program.
const EXIT_SOFTWARE: u8 = 70;

/// Yardmaster's master: change sources, schedulers, queue and workers.
#[derive(Debug, Parser)]
#[command(name = "master", version = proto::VERSION, about, arg_required_else_help = false)]
struct Arguments {
    /// The configuration.
    #[arg(long, global = true, default_value = "/etc/yardmaster/master.toml")]
    config: PathBuf,
    /// One JSON object a line instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon; the default.
    Run,
    /// Check the configuration and say everything that is wrong with it.
    Check,
    /// Say what the configuration would change in the running master. Exits with 0 where nothing
    /// changes, with 2 where something does, with 78 where it has errors.
    Plan {
        /// As if reloaded with it.
        #[arg(long)]
        cancel_queued: bool,
    },
    /// Have the running master take its configuration anew, or nothing of it.
    Reload {
        /// Only if it is what `master plan` showed under this number.
        #[arg(long, value_name = "N")]
        revision: Option<i64>,
        /// Cancel what waits for builders that are gone. Without, it is still served.
        #[arg(long)]
        cancel_queued: bool,
    },
    /// Show the configuration, and how revisions of it differ.
    #[command(subcommand)]
    Config(configuration::Command),
    /// Explain an error code such as E0203.
    Explain { code: String },
    /// List builds, newest first.
    Builds {
        /// Only this builder's.
        builder: Option<String>,
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// List what waits, and for what.
    Queue,
    /// Say why a request is where it is.
    Why { id: String },
    /// Print the log of a build, or of one step: `ci#42` or `ci#42/test`.
    Logs {
        build: String,
        /// Go on until the build ends.
        #[arg(short, long)]
        follow: bool,
        /// Only these lines of one step, counted from 1: `7`, `10-20`, `300-`.
        #[arg(long, value_name = "A-B", conflicts_with = "follow")]
        lines: Option<logs::Lines>,
        /// Only the last lines of one step.
        #[arg(long, value_name = "N", conflicts_with_all = ["follow", "lines"])]
        tail: Option<NonZeroU64>,
    },
    /// End a request, waiting or running.
    Stop {
        /// Such as `ci#42`.
        #[arg(required_unless_present = "worker")]
        id: Option<String>,
        #[arg(long, default_value = "")]
        reason: String,
        /// Do not wait for its worker: it ends now as EXCEPTION. Should the worker come back with
        /// it, it is killed there.
        #[arg(long)]
        give_up: bool,
        /// Everything on this worker, as when its machine is gone for good.
        #[arg(long, value_name = "NAME", conflicts_with = "id", requires = "give_up")]
        worker: Option<String>,
    },
    /// Have a request that waits served sooner or later.
    SetPriority {
        /// Such as `ci#42`.
        id: String,
        /// Higher is served first; 0 is the usual.
        #[arg(allow_negative_numbers = true)]
        priority: i32,
    },
    /// List the locks: who holds them, and who waits.
    Locks,
    /// Show the master, its workers and its change sources.
    Status,
    /// Back up, verify or restore the database.
    #[command(subcommand)]
    Db(db::Command),
    /// Draw a token for a worker: prints the secret and the line for `token_file`.
    Token { worker: String },
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; what cannot be printed cannot be helped.
            drop(error.print());
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            return ExitCode::from(code);
        }
    };
    let (config, json) = (&arguments.config, arguments.json);
    let outcome = match arguments.command {
        None | Some(Command::Run) => return run::main(config),
        Some(Command::Check) => return check::main(config, json),
        Some(Command::Plan { cancel_queued }) => return plan::plan(config, json, cancel_queued),
        Some(Command::Reload { revision, cancel_queued }) => {
            return plan::reload(config, json, revision, cancel_queued);
        }
        Some(Command::Config(command)) => configuration::main(config, json, &command),
        Some(Command::Db(command)) => return db::main(config, json, command),
        Some(Command::Explain { code }) => return explain::main(&code),
        Some(Command::Builds { builder, limit }) => builds::main(config, json, builder, limit),
        Some(Command::Queue) => queue::main(config, json),
        Some(Command::Why { id }) => why::main(config, json, id),
        Some(Command::Logs { build, follow, lines, tail }) => {
            logs::main(config, json, &build, follow, logs::range(lines, tail))
        }
        Some(Command::Stop { id, reason, give_up: false, worker: _ }) => {
            stop::main(config, json, id.unwrap_or_default(), reason)
        }
        Some(Command::Stop { id, reason, give_up: true, worker }) => {
            let (request, worker) = (id.unwrap_or_default(), worker.unwrap_or_default());
            give_up::main(config, json, &GiveUp { request, worker, reason })
        }
        Some(Command::SetPriority { id, priority }) => {
            set_priority::main(config, json, id, priority)
        }
        Some(Command::Locks) => locks::main(config, json),
        Some(Command::Status) => status::main(config, json),
        Some(Command::Token { worker }) => token::main(&worker),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(code_of(&error))
        }
    }
}

/// Tells a master that said no from one that said nothing.
fn code_of(error: &anyhow::Error) -> u8 {
    let refusal = error.downcast_ref::<Refusal>();
    if refusal.is_some_and(|refusal| refusal.code == "database") {
        EXIT_UNAVAILABLE
    } else if refusal.is_some() {
        EXIT_USAGE
    } else if error.is::<FilesError>() {
        EXIT_CONFIG
    } else {
        EXIT_UNAVAILABLE
    }
}

/// Writes one line to the caller.
fn complain(text: &str) {
    #[expect(clippy::print_stderr, reason = "the command line speaks to its caller")]
    {
        eprintln!("master: {text}");
    }
}

/// Connects to the master that runs with a configuration.
fn connect(config: &std::path::Path) -> anyhow::Result<connect::Connection> {
    connect::Connection::open(&crate::settings::control_socket(config)?)
}

/// Writes to stdout; a reader that went away is no error.
fn print(
    write: impl FnOnce(&mut std::io::StdoutLock<'_>) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    match write(&mut std::io::stdout().lock()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes one JSON object a line.
fn print_json<T: serde::Serialize>(kind: &str, items: &[T]) -> anyhow::Result<()> {
    let mut text = String::new();
    for item in items {
        let mut value = serde_json::to_value(item)?;
        if let Some(object) = value.as_object_mut() {
            object.insert("v".to_owned(), 1.into());
            object.insert("kind".to_owned(), kind.into());
        }
        text.push_str(&value.to_string());
        text.push('\n');
    }
    print(|out| std::io::Write::write_all(out, text.as_bytes()))
}
