//! `status [ID]`: where a request is, or what of ours runs, waits and ended last.

use std::time::Duration;

use proto::message::launch::Stage;
use proto::message::question::{
    PropertyLine, RequestLine, RequestWanted, Requests, RequestsWanted,
};
use serde_json::{Value, json};

use super::{ask, print};
use crate::notice::{Complaint, Speaker, duration, harmless};
use crate::settings::Settings;
use crate::{OWN_NAME, clock, table};

/// So many of those that have ended are worth a look.
const ENDED: u32 = 10;

pub(crate) fn main(
    settings: &Settings,
    request: Option<String>,
    json: bool,
) -> Result<u8, Complaint> {
    let Some(request) = request else { return list(settings, json) };
    let line: RequestLine = ask(settings, &RequestWanted { request })?;
    print(&if json { as_json(&line).to_string() } else { with_properties(&line) })
}

fn list(settings: &Settings, json: bool) -> Result<u8, Complaint> {
    let Requests { requests, left_out } = ask(settings, &RequestsWanted { ended: ENDED })?;
    let mut speaker = Speaker::new(OWN_NAME, settings.is_quiet);
    if left_out > 0 {
        speaker.say(&format!("{left_out} more of your requests wait or run"));
    }
    if requests.is_empty() {
        if !json {
            speaker.say("you have no requests");
        }
        return Ok(0);
    }
    if json {
        let lines: Vec<String> = requests.iter().map(|line| as_json(line).to_string()).collect();
        return print(&lines.join("\n"));
    }
    let now_us = i64::try_from(clock::now_ms()).unwrap_or(i64::MAX).saturating_mul(1_000);
    let rows: Vec<[String; 4]> = requests.iter().map(|line| row(line, now_us)).collect();
    print(&table::format(["REQUEST", "STATE", "SINCE", "DETAIL"], &rows))
}

fn row(line: &RequestLine, now_us: i64) -> [String; 4] {
    let (state, since_us) = match (line.stage, line.exit_code) {
        (Stage::Ended, Some(code)) => (format!("{} ({code})", line.result), line.ended_us),
        (Stage::Ended, None) => (line.result.clone(), line.ended_us),
        (stage @ (Stage::Queued | Stage::Running | Stage::Unknown), _) => {
            (stage.to_string(), line.started_us.or(Some(line.submitted_us)))
        }
    };
    // The master's clock may be ahead of ours.
    let age_us = since_us.map(|since_us| now_us.saturating_sub(since_us).max(0).unsigned_abs());
    let age = age_us.map(|age_us| duration(Duration::from_micros(age_us))).unwrap_or_default();
    [line.request.clone(), state, age, line.detail.clone()]
}

fn as_json(line: &RequestLine) -> Value {
    json!({
        "v": 1,
        "request": line.request,
        "owner": line.owner,
        "stage": line.stage.word(),
        "place": line.place,
        "result": line.result,
        "exit_code": line.exit_code,
        "detail": line.detail,
        "submitted_us": line.submitted_us,
        "started_us": line.started_us,
        "ended_us": line.ended_us,
        "properties": properties(line),
    })
}

/// Where facts are from that everybody knows who knows the request.
const PLAIN: [&str; 2] = ["build", "caller"];

fn properties(line: &RequestLine) -> Value {
    let property = |property: &PropertyLine| {
        let value = serde_json::from_str(&property.value).unwrap_or(Value::Null);
        (property.name.clone(), json!({ "value": value, "source": property.source }))
    };
    line.properties.iter().map(property).collect()
}

/// Adds what the build was told and what its steps have set.
fn with_properties(line: &RequestLine) -> String {
    let mut text = harmless(&as_text(line));
    let told = line.properties.iter().filter(|line| !PLAIN.contains(&line.source.as_str()));
    for PropertyLine { name, value, source } in told {
        let told = harmless(&format!("{name} = {value}  ({source})"));
        text.push_str(&format!("\n  {told}"));
    }
    if line.properties_left_out > 0 {
        text.push_str(&format!("\n  and {} more properties", line.properties_left_out));
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stage: Stage) -> RequestLine {
        RequestLine {
            request: "hello#1".to_owned(),
            owner: "unix:here:0".to_owned(),
            stage,
            result: String::new(),
            exit_code: None,
            detail: "why".to_owned(),
            place: 0,
            submitted_us: 1_000_000,
            started_us: None,
            ended_us: None,
            properties: Vec::new(),
            properties_left_out: 0,
        }
    }

    #[test]
    fn a_row_says_since_when_it_is_so() {
        let show = |line: RequestLine| row(&line, 100_000_000)[1..3].join(" ");
        assert_eq!(show(line(Stage::Queued)), "queued 1m39s");
        let running = RequestLine { started_us: Some(91_000_000), ..line(Stage::Running) };
        assert_eq!(show(running), "running 9s");
        let (result, exit_code) = ("FAILURE".to_owned(), Some(3));
        let ended_us = Some(100_500_000);
        let ended = RequestLine { result, exit_code, ended_us, ..line(Stage::Ended) };
        assert_eq!(show(ended), "FAILURE (3) 0ms", "the clocks differ");
    }
}
