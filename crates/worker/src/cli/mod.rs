//! The command line of `worker`, one file per command.

mod check;
mod drain;
mod machine;
mod probe;
mod run;
mod status;
mod stop;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use config::{Diagnostic, SourceFile, Style};

use crate::git_step;
use crate::settings::{self, Settings};

/// Exit codes of `sysexits.h`: a command line that makes no sense, nobody answers, try again later, a configuration that cannot be
/// used.
const EXIT_USAGE: u8 = 64;
const EXIT_UNAVAILABLE: u8 = 69;
const EXIT_SOFTWARE: u8 = 70;
const EXIT_TEMPORARY: u8 = 75;
const EXIT_CONFIG: u8 = 78;

/// Yardmaster's worker: runs the commands of a master on this machine.
#[derive(Debug, Parser)]
#[command(name = "worker", version = proto::VERSION, about)]
struct Arguments {
    /// The configuration.
    #[arg(long, global = true, default_value = "/etc/yardmaster/worker.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon; the default.
    Run,
    /// Check the configuration and say everything that is wrong with it.
    Check {
        /// Diagnostics as JSON, as editors know them.
        #[arg(long)]
        json: bool,
    },
    /// Show whether the daemon is attached and what it runs.
    Status {
        /// One JSON object instead of lines.
        #[arg(long)]
        json: bool,
    },
    /// End the daemon; commands keep running and are found again by the next one.
    Stop {
        /// End all commands too: SIGTERM first, SIGKILL to what is left.
        #[arg(long)]
        kill: bool,
    },
    /// Take no new builds, finish those that run, then end the daemon.
    Drain {
        /// Wait so long at most, such as `30m`; then commands are left running, for the next
        /// daemon to find.
        #[arg(long, value_parser = duration)]
        deadline: Option<Duration>,
        /// At the deadline, end the commands that are left: SIGTERM first, then SIGKILL.
        #[arg(long, requires = "deadline")]
        kill: bool,
    },
    /// Take builds again after `drain`.
    Resume,
    /// Run all probes now instead of when their time comes.
    Probe,
    /// What a git step runs.
    #[command(hide = true)]
    GitStep(git_step::Options),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; what cannot be printed cannot be helped.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let config = &arguments.config;
    match &arguments.command {
        None | Some(Command::Run) => run::main(config),
        Some(Command::Check { json }) => check::main(config, *json),
        Some(Command::Status { json }) => status::main(config, *json),
        Some(Command::Stop { kill }) => stop::main(config, *kill),
        Some(Command::Drain { deadline, kill }) => drain::main(config, *deadline, *kill),
        Some(Command::Resume) => drain::resume(config),
        Some(Command::Probe) => probe::main(config),
        Some(Command::GitStep(options)) => git_step::main(options),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text).ok_or_else(|| "write a number and a unit: 90s, 30m, 2h".to_owned())
}

/// Reads the configuration, or says everything that is wrong with it.
fn settings(config: &Path) -> Result<Settings, ExitCode> {
    let loaded = settings::load(config).map_err(|error| {
        complain(&format!("read {}: {error}; name the file by --config", config.display()));
        ExitCode::from(EXIT_CONFIG)
    })?;
    if !loaded.problems.is_empty() {
        show(&loaded.problems, &loaded.files);
    }
    loaded.settings.ok_or(ExitCode::from(EXIT_CONFIG))
}

fn show(problems: &[Diagnostic], files: &[SourceFile]) {
    let style = if io::stderr().is_terminal() { Style::Coloured } else { Style::Plain };
    write_to(&mut io::stderr(), &config::render(problems, files, style));
}

/// Says one line about why it is not going on.
fn complain(text: &str) {
    write_to(&mut io::stderr(), &format!("worker: {text}\n"));
}

fn print(text: &str) {
    write_to(&mut io::stdout(), text);
}

fn write_to(to: &mut impl io::Write, text: &str) {
    // Whoever reads it may have left, as `head` does.
    drop(to.write_all(text.as_bytes()).and_then(|()| to.flush()));
}
