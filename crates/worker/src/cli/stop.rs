//! `worker stop`

use std::path::Path;
use std::process::ExitCode;

use super::{EXIT_UNAVAILABLE, complain, print, settings};
use crate::control::{Client, Wish};

pub(super) fn main(config: &Path, kill: bool) -> ExitCode {
    let settings = match settings(config) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let wish = if kill { Wish::Kill } else { Wish::Stop };
    let stopped = Client::ask(&settings.data, wish).and_then(|client| {
        let running = client.status.running;
        client.wait().map(|()| running)
    });
    match stopped {
        Ok(running) if kill => print(&format!("stopped; {running} commands were ended\n")),
        Ok(running) => print(&format!("stopped; {running} commands keep running\n")),
        Err(error) => {
            complain(&format!("{error:#}"));
            return ExitCode::from(EXIT_UNAVAILABLE);
        }
    }
    ExitCode::SUCCESS
}
