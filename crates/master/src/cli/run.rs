//! `master run`: the daemon.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use super::{EXIT_CONFIG, check, complain};
use crate::daemon::{self, DaemonError};
use crate::settings;

pub(super) fn main(configuration: &Path) -> ExitCode {
    let reading = match settings::read(configuration) {
        Ok(reading) => reading,
        Err(error) => {
            complain(&format!("{:#}", anyhow::Error::from(error)));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    check::report(&reading);
    let Some(configuration) = reading.configuration else { return ExitCode::from(EXIT_CONFIG) };
    log_to_stderr();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(daemon::run(configuration, reading.files));
    // Blocking work that still runs, such as the sealing of a log, is begun again at the next start.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = if needs_administrator(&error) { EXIT_CONFIG } else { 1 };
            complain(&format!("{:#}", anyhow::Error::from(error)));
            ExitCode::from(code)
        }
    }
}

/// Says whether starting again cannot help.
fn needs_administrator(error: &DaemonError) -> bool {
    match error {
        DaemonError::Store(error) => error.is_permanent(),
        DaemonError::Tokens(_) => true,
        DaemonError::Directory { .. }
        | DaemonError::Locked(_)
        | DaemonError::Shelf(_)
        | DaemonError::Random(_)
        | DaemonError::Listen { .. }
        | DaemonError::Signals(_)
        | DaemonError::Core(_) => false,
    }
}

fn log_to_stderr() {
    let filter =
        EnvFilter::try_from_env("YARDMASTER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        .with_target(false)
        .init();
}
