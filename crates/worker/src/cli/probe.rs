//! `worker probe`

use std::path::Path;
use std::process::ExitCode;

use super::{EXIT_UNAVAILABLE, complain, print, settings};
use crate::control::{Client, Wish};

pub(super) fn main(config: &Path) -> ExitCode {
    let settings = match settings(config) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if settings.probes.programs.is_empty() {
        print("this worker has no probes; see `probe` in docs/CONFIGURATION.md\n");
        return ExitCode::SUCCESS;
    }
    match Client::ask(&settings.data, Wish::Probe) {
        Ok(_client) => print("the probes run now; see: worker status\n"),
        Err(error) => {
            complain(&format!("{error:#}"));
            return ExitCode::from(EXIT_UNAVAILABLE);
        }
    }
    ExitCode::SUCCESS
}
