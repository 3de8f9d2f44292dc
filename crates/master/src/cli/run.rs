//! `master run`: the daemon.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use super::{EXIT_CONFIG, EXIT_SOFTWARE, check, complain};
use crate::daemon::{self, DaemonError};
use crate::doors::DoorError;
use crate::settings;

pub(super) fn main(path: &Path) -> ExitCode {
    let mut reading = match settings::read(path) {
        Ok(reading) => reading,
        Err(error) => {
            complain(&format!("{:#}", anyhow::Error::from(error)));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    check::report(&reading);
    let Some(configuration) = reading.configuration.take() else {
        return ExitCode::from(EXIT_CONFIG);
    };
    log_to_stderr();
    heap::keep_small();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = threads::probe().and_then(|()| builder.worker_threads(2).enable_all().build());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("start threads (see the limits of tasks of this service): {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(daemon::run(path.to_owned(), reading, configuration));
    // Blocking work that still runs, such as the sealing of a log, is begun again at the next start.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = exit_code(&error);
            complain(&format!("{:#}", anyhow::Error::from(error)));
            ExitCode::from(code)
        }
    }
}

fn exit_code(error: &DaemonError) -> u8 {
    match error {
        // Starting again cannot help: somebody has to change something first.
        DaemonError::Store(error) if error.is_permanent() => EXIT_CONFIG,
        DaemonError::Door(DoorError::Tokens(_)) => EXIT_CONFIG,
        DaemonError::Panicked => EXIT_SOFTWARE,
        DaemonError::Store(_)
        | DaemonError::Directory { .. }
        | DaemonError::Locked(_)
        | DaemonError::Shelf(_)
        | DaemonError::Random(_)
        | DaemonError::Door(DoorError::Listen { .. })
        | DaemonError::Signals(_)
        | DaemonError::Core(_) => 1,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_the_software() {
        assert_eq!(exit_code(&DaemonError::Panicked), 70);
    }
}
