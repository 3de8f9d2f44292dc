//! `status [ID]`: where a request is, or everything of ours that waits.

use proto::message::launch::Stage;
use proto::message::question::{Queue, QueueLine, QueueWanted, RequestLine, RequestWanted};
use serde_json::{Value, json};

use super::{ask, print};
use crate::notice::{Complaint, harmless};
use crate::settings::Settings;

pub(crate) fn main(
    settings: &Settings,
    request: Option<String>,
    json: bool,
) -> Result<u8, Complaint> {
    let text = match request {
        Some(request) => {
            let line: RequestLine = ask(settings, &RequestWanted { request })?;
            if json { as_json(&line).to_string() } else { harmless(&as_text(&line)) }
        }
        None => {
            let queue: Queue = ask(settings, &QueueWanted {})?;
            let lines: Vec<String> = queue
                .requests
                .iter()
                .map(|line| {
                    if json {
                        json!({
                            "v": 1, "request": line.request, "place": line.place,
                            "blocked_by": line.blocked_by,
                        })
                        .to_string()
                    } else {
                        let QueueLine { request, place, blocked_by, .. } = line;
                        harmless(&format!("{request}  place {place}  {blocked_by}"))
                    }
                })
                .collect();
            if lines.is_empty() {
                return Ok(0);
            }
            lines.join("\n")
        }
    };
    print(&text)
}

fn as_json(line: &RequestLine) -> Value {
    json!({
        "v": 1,
        "request": line.request,
        "owner": line.owner,
        "stage": line.stage.word(),
        "result": line.result,
        "exit_code": line.exit_code,
        "detail": line.detail,
    })
}

fn as_text(line: &RequestLine) -> String {
    let detail = line.detail.as_str();
    let rest = if detail.is_empty() { String::new() } else { format!(", {detail}") };
    match line.stage {
        Stage::Ended => {
            let code = line.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
            format!("{} ended: {}{code}{rest}", line.request, line.result)
        }
        Stage::Queued | Stage::Running | Stage::Unknown => {
            format!("{} is {}{rest}", line.request, line.stage)
        }
    }
}
