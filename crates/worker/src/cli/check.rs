//! `worker check`

use std::path::Path;
use std::process::ExitCode;

use super::{EXIT_CONFIG, complain, machine, print, show};
use crate::settings;

pub(super) fn main(config: &Path, json: bool) -> ExitCode {
    let loaded = match settings::load(config) {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(&format!("read {}: {error}", config.display()));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if json {
        print(&format!("{}\n", config::to_json(&loaded.problems, &loaded.files)));
    } else {
        show(&loaded.problems, &loaded.files);
    }
    let Some(settings) = loaded.settings else { return ExitCode::from(EXIT_CONFIG) };
    if !json {
        let home = shim::Home::find(settings.limits.groups);
        print(&format!(
            "control groups, for a daemon started from here: {}\n",
            machine::words(home.as_ref())
        ));
    }
    ExitCode::SUCCESS
}
