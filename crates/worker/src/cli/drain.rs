//! `worker drain` and `worker resume`

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::ctrl_c;

use super::{EXIT_SOFTWARE, EXIT_TEMPORARY, EXIT_UNAVAILABLE, complain, print, settings};
use crate::control::{Client, News, Status, Wish};
use crate::daemon::{AtDeadline, DrainOrder, Leave};

/// A shell's code for Ctrl-C.
const EXIT_INTERRUPTED: u8 = 130;

pub(super) fn main(config: &Path, deadline: Option<Duration>, kill: bool) -> ExitCode {
    let settings = match settings(config) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let order = DrainOrder {
        deadline_ms: deadline.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        at_deadline: if kill { AtDeadline::End } else { AtDeadline::Leave },
    };
    let client = match Client::ask(&settings.data, Wish::Drain(order)) {
        Ok(client) => client,
        Err(error) => {
            complain(&format!("{error:#}"));
            return ExitCode::from(EXIT_UNAVAILABLE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (runtime, news) = match runtime.and_then(|runtime| {
        let _inside = runtime.enter();
        let news = client.news()?;
        Ok((runtime, news))
    }) {
        Ok(both) => both,
        Err(error) => {
            complain(&format!("wait for the worker: {error}; it goes on draining"));
            return ExitCode::from(EXIT_SOFTWARE);
        }
    };
    runtime.block_on(watch(news, kill))
}

/// Says how it goes on until the daemon has ended, or this command is interrupted.
async fn watch(mut news: News, kill: bool) -> ExitCode {
    let mut last = None;
    loop {
        // Both branches are cancel-safe: what was read of a line is kept.
        let status = tokio::select! {
            status = news.next() => status,
            _ = ctrl_c() => {
                complain("the worker goes on draining; `worker resume` takes it back");
                return ExitCode::from(EXIT_INTERRUPTED);
            }
        };
        match status {
            Some(Status { leave: Leave::Ready, .. }) => {
                complain("the drain was taken back; the worker takes builds again");
                return ExitCode::from(EXIT_TEMPORARY);
            }
            Some(Status { leave, .. }) => {
                if last != Some(leave) {
                    print(&format!("{leave}\n"));
                }
                last = Some(leave);
            }
            None => return end(last, kill),
        }
    }
}

/// The daemon has ended: because all was done, or because its time was up.
fn end(last: Option<Leave>, kill: bool) -> ExitCode {
    match last {
        Some(Leave::Draining { builds_left: Some(0), commands_left: 0 }) | Some(Leave::Ready) => {
            print("drained; the worker has stopped\n");
            ExitCode::SUCCESS
        }
        Some(left @ Leave::Draining { .. }) => {
            let commands = if kill { "were ended" } else { "keep running" };
            complain(&format!(
                "the worker stopped before it was drained ({left}); commands that were left \
                 {commands}"
            ));
            ExitCode::from(EXIT_TEMPORARY)
        }
        None => {
            complain("the worker stopped before it said how it stands");
            ExitCode::from(EXIT_TEMPORARY)
        }
    }
}

pub(super) fn resume(config: &Path) -> ExitCode {
    let settings = match settings(config) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match Client::ask(&settings.data, Wish::Resume) {
        Ok(_) => {
            print("the worker takes builds\n");
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}
