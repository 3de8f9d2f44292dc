//! `master check`

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use config::Style;

use super::{EXIT_CONFIG, complain, print};
use crate::settings::{self, Reading};

pub(super) fn main(configuration: &Path, json: bool) -> ExitCode {
    let reading = match settings::read(configuration) {
        Ok(reading) => reading,
        Err(error) => {
            complain(&format!("{:#}", anyhow::Error::from(error)));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let is_terminal = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let style = if is_terminal { Style::Coloured } else { Style::Plain };
    let text = if json {
        format!("{}\n", config::to_json(&reading.problems, &reading.files))
    } else {
        config::render(&reading.problems, &reading.files, style)
    };
    let printed = print(|out| out.write_all(text.as_bytes()));
    match (reading.configuration, printed) {
        (Some(_), Ok(())) => ExitCode::SUCCESS,
        (None, _) | (_, Err(_)) => ExitCode::from(EXIT_CONFIG),
    }
}

/// Says on stderr what is wrong with a configuration that is about to be used.
pub(super) fn report(reading: &Reading) {
    if reading.problems.is_empty() {
        return;
    }
    let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let style = if is_terminal { Style::Coloured } else { Style::Plain };
    let text = config::render(&reading.problems, &reading.files, style);
    if let Err(error) = std::io::stderr().write_all(text.as_bytes()) {
        tracing::debug!("nobody reads what is wrong: {error}");
    }
}
