//! `worker status`

use std::path::Path;
use std::process::ExitCode;

use super::{EXIT_UNAVAILABLE, complain, print, settings};
use crate::control::{Client, Status, Wish};

pub(super) fn main(config: &Path, json: bool) -> ExitCode {
    let settings = match settings(config) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let status = match Client::ask(&settings.data, Wish::Status) {
        Ok(client) => client.status,
        Err(error) => {
            complain(&format!("{error:#}"));
            return ExitCode::from(EXIT_UNAVAILABLE);
        }
    };
    if json {
        print(&format!("{}\n", serde_json::json!(status)));
    } else {
        print(&lines(&status));
    }
    ExitCode::SUCCESS
}

fn lines(status: &Status) -> String {
    let Status {
        name,
        version,
        pid,
        data,
        master,
        max_builds,
        control_groups,
        running,
        waiting,
        leave,
        findings,
    } = status;
    let found = findings.iter().map(|(name, value)| format!("{name} {value}"));
    let found = match found.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => String::new(),
        some => format!("probes    {some}\n"),
    };
    format!(
        "worker    {name} {version}, pid {pid}\n\
         master    {master}\n\
         commands  {running} running, {waiting} ended and not yet taken over by the master\n\
         builds    at most {max_builds} at once; {leave}\n\
         groups    {control_groups}\n\
         data      {data}\n{found}"
    )
}
